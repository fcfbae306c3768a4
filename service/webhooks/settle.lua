#!lua
-- Writes what one attempt came to: the log of it, the place of the delivery, how the endpoint does. All at once, so
-- that no attempt is forgotten and none is acknowledged before it is logged.
--
-- KEYS  1 queue   2 tries   3 state   4 log   5 dead deliveries
-- ARGV  delivery, attempts until now, now (ms), what became of it ('delivered', 'retry', 'dead', 'dropped'),
--       when it is tried again (ms), its tries in JSON, the entry of the log in JSON (empty: none),
--       the most entries of the log, the most dead deliveries, '1' if the endpoint was left alone until now and takes
--       something again, and then the fields and values of the state
-- What waits for an endpoint that takes something again is due at once, in the order of the ledger.
--
-- Returns 1, or 0 if the delivery is not as it was when the attempt began: then it is only logged.

local position, now, became = ARGV[1], tonumber(ARGV[3]), ARGV[4]
if ARGV[7] ~= '' then redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'a', ARGV[7]) end
local tries = redis.call('HGET', KEYS[2], position)
local until_now = tries and tostring(cjson.decode(tries)[1]) or '0'
local as_it_was = until_now == ARGV[2] and redis.call('ZSCORE', KEYS[1], position)
if as_it_was then
  if became == 'retry' then
    redis.call('HSET', KEYS[2], position, ARGV[6])
    redis.call('ZADD', KEYS[1], ARGV[5], position)
  else
    redis.call('ZREM', KEYS[1], position)
    if tries then redis.call('HDEL', KEYS[2], position) end
    if became == 'dead' then
      redis.call('ZADD', KEYS[5], now, position)
      redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -tonumber(ARGV[9]) - 1)
    end
  end
end
if ARGV[10] == '1' then
  for _, each in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], now, each) end
end
if #ARGV > 10 then redis.call('HSET', KEYS[3], unpack(ARGV, 11)) end
if became ~= 'dropped' then
  redis.call('HINCRBY', KEYS[3], 'attempts', 1)
  redis.call('HINCRBY', KEYS[3], became == 'delivered' and 'delivered' or 'failed', 1)
end
if became == 'dead' then redis.call('HINCRBY', KEYS[3], 'dead', 1) end
return as_it_was and 1 or 0
