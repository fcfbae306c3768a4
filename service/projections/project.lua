#!lua
-- Writes what one batch of events made of a projection, if the projection still stands where the batch began.
--
-- KEYS  1 the projection   2.. documents and indexes
-- ARGV  generation, checkpoint where the batch began, checkpoint after it, and the changes in MessagePack, each one of
--         {'set', index into KEYS, document}      {'list', index into KEYS, most, items}
--         {'add', index into KEYS, score, id}     {'remove', index into KEYS, id}
-- Returns 1 if it was written, 0 if another projector was quicker.

local at = redis.call('HMGET', KEYS[1], 'generation', 'checkpoint')
if (at[1] or '1') ~= ARGV[1] or (at[2] or '0') ~= ARGV[2] then return 0 end
for _, change in ipairs(cmsgpack.unpack(ARGV[4])) do
  local action, key = change[1], KEYS[change[2]]
  if action == 'set' then
    redis.call('SET', key, change[3])
  elseif action == 'list' then
    for _, item in ipairs(change[4]) do redis.call('RPUSH', key, item) end
    redis.call('LTRIM', key, -change[3], -1)
  elseif action == 'add' then
    redis.call('ZADD', key, change[3], change[4])
  else
    redis.call('ZREM', key, change[3])
  end
end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'checkpoint', ARGV[3])
return 1
