#!lua
-- Says when a webhook is next to be looked at: when its first delivery is due and its endpoint is not left alone, at
-- once if it has something to fetch from the ledger, and when it may be recorded that its circuit opened or closed. A
-- webhook for which nothing waits is looked at no more. One that is told in order, whose deliveries wait for one that is
-- not due yet, is looked at when that is, unless its queue is no longer as it was seen.
--
-- KEYS  1 queue   2 state   3 when each webhook is due
-- ARGV  webhook, now (ms), the earliest moment (ms), the length of a queue from which on nothing is fetched,
--       the shortest time between two records about its circuit (ms), and if it was seen to be held up: how many
--       deliveries there were, how many of them were due, and until when they are held up (ms)
-- Returns 1 if something waits for it, else 0.

local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local now = tonumber(ARGV[2])
local known = redis.call('HMGET', KEYS[2], 'behind', 'replay', 'replay_at', 'is_open', 'told', 'told_at', 'quiet_until')
local at
if first[2] then at = tonumber(first[2]) end
if at and ARGV[6] and redis.call('ZCARD', KEYS[1]) == tonumber(ARGV[6])
    and redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[2]) == tonumber(ARGV[7]) then
  at = math.max(at, tonumber(ARGV[8]))
end
if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[4]) then
  if known[1] then at = now
  elseif known[2] then at = math.min(at or math.huge, math.max(now, tonumber(known[3] or 0))) end
end
local quiet = tonumber(known[7] or 0)
if at then at = math.max(at, quiet, tonumber(ARGV[3])) end
if (known[4] or '0') ~= (known[5] or '0') then
  at = math.min(at or math.huge, math.max(now, tonumber(known[6] or 0) + tonumber(ARGV[5])))
end
if not at then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 0
end
redis.call('ZADD', KEYS[3], string.format('%.0f', at), ARGV[1])
return 1
