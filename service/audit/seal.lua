#!lua
-- Asks whether a sealer may go on, and writes down how far it is. The write also gives it something to wait for: when
-- replicas have it, they have all that came before it.
--
-- KEYS  1 the sealer's lease   2 how far the sealer is   3 the head   4 the log
-- ARGV  its fencing token, the position that it has sealed last, how far it is, and '1' if it waits for replicas, or '0'
-- Returns {'fenced'} if another sealer has the duty since, else {'held', the last position of the log, the bytes of the
-- event that was sealed last ('' if there is none)}

if tonumber(redis.call('HGET', KEYS[1], 'token') or 0) ~= tonumber(ARGV[1]) then return { 'fenced' } end
if ARGV[4] == '1' or redis.call('GET', KEYS[2]) ~= ARGV[3] then redis.call('SET', KEYS[2], ARGV[3]) end
local last = redis.call('XRANGE', KEYS[4], ARGV[2] .. '-0', ARGV[2] .. '-0')
return { 'held', tonumber(redis.call('HGET', KEYS[3], 'position') or 0), last[1] and last[1][2][2] or '' }
