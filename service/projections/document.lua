#!lua flags=no-writes
-- Reads one document and the list beside it, with the generation that the projection is at now, and how far this one is.
--
-- KEYS  1 the projection   2 the document   3 the list beside it, if that is wanted
--       4 an index whose first members are wanted too, if any
-- ARGV  the generation of the document, how many of those members
-- Returns {generation or false, document or false, items, members, checkpoint or false}

return {
  redis.call('HGET', KEYS[1], 'generation'),
  redis.call('GET', KEYS[2]),
  KEYS[3] and redis.call('LRANGE', KEYS[3], 0, -1) or {},
  KEYS[4] and redis.call('ZRANGE', KEYS[4], 0, ARGV[2] - 1) or {},
  redis.call('HGET', KEYS[1], 'checkpoint:' .. ARGV[1]),
}
