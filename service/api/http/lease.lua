#!lua
-- Takes a block of requests from the quota that a key has in the present window.
--
-- KEYS  1 what is used of it
-- ARGV  the quota, the window in milliseconds, the largest block
-- Returns how many requests the caller may allow until the window ends, how many are left for others, and in how many
-- milliseconds it ends.
--
-- The less is left the smaller a block is, so that processes that are asked less than others do not keep it from them.

local quota, window, largest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local number = string.format('%.0f', math.floor(now / window))
local ends = window - now % window

local found = redis.call('HMGET', KEYS[1], 'window', 'used')
local used = found[1] == number and tonumber(found[2]) or 0
local left = math.max(0, quota - used)
local block = math.min(largest, left, math.max(1, math.floor(left / 10)))
if block > 0 then
  redis.call('HSET', KEYS[1], 'window', number, 'used', string.format('%.0f', used + block))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ends + window))
end
return { block, left - block, ends }
