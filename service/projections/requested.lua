#!lua
-- Says which projections somebody asked to rebuild.
--
-- KEYS  projections
-- Returns the numbers of those keys, from 1.

local found = {}
for n, key in ipairs(KEYS) do
  if redis.call('HEXISTS', key, 'requested') == 1 then found[#found + 1] = n end
end
return found
