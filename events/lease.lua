#!lua
-- Takes, renews or gives back a duty.
--
-- KEYS  1 the lease, a hash: holder, token, until (milliseconds since 1970)
-- ARGV  who asks, for how many milliseconds, 'take' or 'give'
-- Returns the fencing token if the duty is the asker's now, else 0. The token outlives the lease, and only grows.

local now = redis.call('TIME')
local at = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local lease = redis.call('HMGET', KEYS[1], 'holder', 'token', 'until')
local held = lease[1] and tonumber(lease[3] or 0) > at
if ARGV[3] == 'give' then
  if lease[1] == ARGV[1] then redis.call('HDEL', KEYS[1], 'holder', 'until') end
  return 0
end
if held and lease[1] ~= ARGV[1] then return 0 end
local token = tonumber(lease[2] or 0)
if not held or lease[1] ~= ARGV[1] then token = token + 1 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'token', token, 'until', string.format('%.0f', at + tonumber(ARGV[2])))
return token
