#!lua flags=no-writes
-- Reads one document and the list beside it, with the generation that the projection is at now.
--
-- KEYS  1 the projection   2 the document   3 the list beside it, if that is wanted
-- Returns {generation or false, document or false, items}

return {
  redis.call('HGET', KEYS[1], 'generation'),
  redis.call('GET', KEYS[2]),
  KEYS[3] and redis.call('LRANGE', KEYS[3], 0, -1) or {},
}
