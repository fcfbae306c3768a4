#!lua
-- Notes that API keys were used, each at most once in a while, and none that is not there any more.
--
-- KEYS  the keys, hashes   ARGV  1 now   2 how long a note stands; microseconds

for n = 1, #KEYS do
  local held = redis.call('HMGET', KEYS[n], 'sha256', 'last_used')
  if held[1] and tonumber(ARGV[1]) - tonumber(held[2] or 0) >= tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[n], 'last_used', ARGV[1])
  end
end
return #KEYS
