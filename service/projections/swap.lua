#!lua
-- Lets readers and projectors go over to a new generation of a projection, all at once.
--
-- KEYS  1 the projection   ARGV  the generation until now, the new one, the version of the code that made the new one
-- Returns 1 if it is done; 0 if the new one is behind; -1 if it is gone, or another generation is live; -2 if both are
-- at one position and of one version, and their digests differ.

local live = redis.call('HGET', KEYS[1], 'generation')
local old = redis.call('HGET', KEYS[1], 'checkpoint:' .. ARGV[1])
local new = redis.call('HGET', KEYS[1], 'checkpoint:' .. ARGV[2])
if live ~= ARGV[1] or not new then return -1 end
if tonumber(new) < tonumber(old or '0') then return 0 end
local function of(part, generation) return redis.call('HGET', KEYS[1], part .. generation) end
local comparable = new == (old or '0') and (of('version:', ARGV[1]) or '1') == ARGV[3]
if comparable and (of('digest:', ARGV[1]) or '0') ~= of('digest:', ARGV[2]) then return -2 end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'dropping', ARGV[1])
redis.call('HDEL', KEYS[1], 'checkpoint:' .. ARGV[1], 'digest:' .. ARGV[1], 'version:' .. ARGV[1], 'building')
return 1
