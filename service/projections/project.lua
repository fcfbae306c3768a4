#!lua
-- Writes what one batch of events made of a projection, if the projection still stands where the batch began.
--
-- KEYS  1 the projection   2.. documents and indexes
-- ARGV  generation, checkpoint where the batch began, checkpoint after it, then any number of
--         'set', index into KEYS, document        'list', index into KEYS, most, how many, items
--         'add', index into KEYS, score, id       'remove', index into KEYS, id
-- Returns 1 if it was written, 0 if another projector was quicker.

local at = redis.call('HMGET', KEYS[1], 'generation', 'checkpoint')
if (at[1] or '1') ~= ARGV[1] or (at[2] or '0') ~= ARGV[2] then return 0 end
local a = 4
while a < #ARGV do
  local key = KEYS[tonumber(ARGV[a + 1])]
  if ARGV[a] == 'set' then
    redis.call('SET', key, ARGV[a + 2])
    a = a + 3
  elseif ARGV[a] == 'list' then
    local first, count = a + 4, tonumber(ARGV[a + 3])
    redis.call('RPUSH', key, unpack(ARGV, first, first + count - 1))
    redis.call('LTRIM', key, -tonumber(ARGV[a + 2]), -1)
    a = first + count
  elseif ARGV[a] == 'add' then
    redis.call('ZADD', key, ARGV[a + 2], ARGV[a + 3])
    a = a + 4
  else
    redis.call('ZREM', key, ARGV[a + 2])
    a = a + 3
  end
end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'checkpoint', ARGV[3])
return 1
