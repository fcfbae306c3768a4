#!lua
-- Keeps a new API key. Safe to run twice: the second time it is there.
--
-- KEYS  1 the key, a hash   2 the keys of its ledger, by when each is forgotten   3 those with the scope admin, by expiry
-- ARGV  1 its id   2 now   3 how many keys a ledger may have   4 when it is forgotten   5 when it expires, or '' if it is
--       no key with the scope admin   6 likewise 4, in milliseconds, or ''   7… fields and values; times are microseconds
--       since 1970, '+inf' is never
-- Returns {'made'}, {'there', sha256, asked, created} or {'full'}.

local there = redis.call('HMGET', KEYS[1], 'sha256', 'asked', 'created')
if there[1] then return {'there', there[1], there[2], there[3]} end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[2])
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return {'full'} end
for n = 7, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
if ARGV[5] ~= '' then redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1]) end
if ARGV[6] ~= '' then redis.call('PEXPIREAT', KEYS[1], ARGV[6]) end
return {'made'}
