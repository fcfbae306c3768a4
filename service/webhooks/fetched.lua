#!lua
-- Queues what a webhook fetched from the ledger by itself, if it still stands where that began.
--
-- KEYS  1 queue   2 state   3 when each webhook is due   4 how far the dispatcher is
-- ARGV  webhook, the field of the state ('behind' or 'replay'), its value before, its value after (empty: none),
--       now (ms), when the next part of a replay may be fetched (ms), and then the deliveries
-- Returns 1 if it was written, 0 if somebody else was quicker.
--
-- Who is no longer behind the dispatcher is given its events by that from here on.

local id, field = ARGV[1], ARGV[2]
if redis.call('HGET', KEYS[2], field) ~= ARGV[3] then return 0 end
for n = 7, #ARGV do redis.call('ZADD', KEYS[1], 'NX', ARGV[5], ARGV[n]) end
local is_over = ARGV[4] == '' or (field == 'behind' and tonumber(ARGV[4]) >= tonumber(redis.call('GET', KEYS[4]) or '0'))
if is_over then redis.call('HDEL', KEYS[2], field) else redis.call('HSET', KEYS[2], field, ARGV[4]) end
if field == 'replay' then redis.call('HSET', KEYS[2], 'replay_at', ARGV[6]) end
redis.call('ZADD', KEYS[3], 'LT', ARGV[5], id)
return 1
