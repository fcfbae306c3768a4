#!lua
-- Says when a webhook is next to be looked at: when its first delivery is due and its endpoint is not left alone, or at
-- once if it has something to fetch from the ledger. A webhook for which nothing waits is looked at no more.
--
-- KEYS  1 queue   2 state   3 when each webhook is due
-- ARGV  webhook, now (ms), the earliest moment (ms), the length of a queue from which on nothing is fetched
-- Returns 1 if something waits for it, else 0.

local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local fetches = redis.call('HEXISTS', KEYS[2], 'behind') == 1 or redis.call('HEXISTS', KEYS[2], 'replay') == 1
local at
if first[2] then at = tonumber(first[2]) end
if fetches and redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[4]) then at = tonumber(ARGV[2]) end
if not at then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 0
end
local quiet = tonumber(redis.call('HGET', KEYS[2], 'quiet_until') or 0)
redis.call('ZADD', KEYS[3], math.max(at, quiet, tonumber(ARGV[3])), ARGV[1])
return 1
