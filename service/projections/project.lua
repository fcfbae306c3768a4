#!lua
-- Writes what one batch of events made of one generation of a projection, if it still stands where the batch began.
--
-- KEYS  1 the projection   2.. documents, lists and indexes
-- ARGV  generation, checkpoint where the batch began, checkpoint after it, digest after it,
--       and the changes in MessagePack, each one of
--         {'set', index into KEYS, document}      {'list', index into KEYS, most, items}
--         {'add', index into KEYS, {score, id, …}}   {'remove', index into KEYS, {id, …}};
--       and the version of the code that folds
-- Returns 1 if it was written; 0 if another projector was quicker, or if the generation is no more.

local CHECKPOINT, DIGEST = 'checkpoint:' .. ARGV[1], 'digest:' .. ARGV[1]

local at = redis.call('HGET', KEYS[1], CHECKPOINT)
if not at and ARGV[1] == '1' and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'generation', '1', 'version:1', ARGV[6]) -- the first batch ever
  at = '0'
end
if at ~= ARGV[2] then return 0 end
for _, change in ipairs(cmsgpack.unpack(ARGV[5])) do
  local action, key = change[1], KEYS[change[2]]
  if action == 'set' then
    redis.call('SET', key, change[3])
  elseif action == 'list' then
    if redis.call('RPUSH', key, unpack(change[4])) > change[3] then redis.call('LTRIM', key, -change[3], -1) end
  elseif action == 'add' then
    redis.call('ZADD', key, unpack(change[3]))
  else
    redis.call('ZREM', key, unpack(change[3]))
  end
end
redis.call('HSET', KEYS[1], CHECKPOINT, ARGV[3], DIGEST, ARGV[4])
return 1
