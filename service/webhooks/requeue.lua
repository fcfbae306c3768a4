#!lua
-- Puts deliveries into the queue of a webhook again, with all their attempts before them.
--
-- KEYS  1 queue   2 tries   3 dead deliveries   4 when each webhook is due
-- ARGV  webhook, now (ms), what is kept of tries (JSON; empty: nothing), '1' if only those among the dead,
--       and then the deliveries
-- Returns how many were put there.

local count = 0
for n = 5, #ARGV do
  local was_dead = redis.call('ZREM', KEYS[3], ARGV[n]) == 1
  if was_dead or ARGV[4] ~= '1' then
    redis.call('ZADD', KEYS[1], ARGV[2], ARGV[n])
    if ARGV[3] ~= '' then redis.call('HSET', KEYS[2], ARGV[n], ARGV[3]) else redis.call('HDEL', KEYS[2], ARGV[n]) end
    count = count + 1
  end
end
if count > 0 then redis.call('ZADD', KEYS[4], 'LT', ARGV[2], ARGV[1]) end
return count
