#!lua
-- Revokes an API key and tells every process. Safe to run twice: the second time they are told again.
--
-- KEYS  1 the key, a hash   2 the keys of its ledger, by when each is forgotten   3 those with the scope admin, by expiry
--       4 the stream in which every process reads what was revoked
-- ARGV  1 its id   2 its ledger   3 now   4 by whom   5 when it is forgotten   6 likewise, in milliseconds
--       7 '1' if the last one in force with the scope admin is to stay; times are microseconds since 1970
-- Returns 'revoked', 'last', or 'none' if the ledger has no such key.

if redis.call('HGET', KEYS[1], 'ledger') ~= ARGV[2] then return 'none' end
if not redis.call('HGET', KEYS[1], 'revoked') then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[3])
  if ARGV[7] == '1' and redis.call('ZSCORE', KEYS[3], ARGV[1]) and redis.call('ZCARD', KEYS[3]) == 1 then
    return 'last'
  end
  redis.call('HSET', KEYS[1], 'revoked', ARGV[3], 'revoked_by', ARGV[4])
  redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('PEXPIREAT', KEYS[1], ARGV[6])
end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 'key', ARGV[1])
return 'revoked'
