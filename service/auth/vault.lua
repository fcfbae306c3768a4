#!lua
-- Puts a subject's wrapped key into the vault, or the mark that it was erased in its place. Safe to run twice.
--
-- KEYS  1 the subject   ARGV  1 what it is to hold   2 '1' if only where it holds nothing yet
-- Returns what it holds then.

if ARGV[2] == '1' then
  local held = redis.call('GET', KEYS[1])
  if held then return held end
end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
