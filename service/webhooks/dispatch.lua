#!lua
-- Puts the events of one batch into the queues of the webhooks that they concern, if the dispatcher still stands where
-- the batch began. So each event is queued once for each webhook, however many dispatchers race.
--
-- KEYS  1 how far the dispatcher is   2 when each webhook is due   3.. for each webhook: its queue, its state
-- ARGV  position before the batch, position after it, now (ms), the longest queue,
--       and in MessagePack for each webhook {its id, its first key's index, {position, …}}
-- Returns 1 if it was written, 0 if another dispatcher was quicker.
--
-- A webhook whose queue is full is left behind from the position before the batch on: its events stay in the ledger,
-- and are fetched from there once the queue is shorter.

if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then return 0 end
for _, its in ipairs(cmsgpack.unpack(ARGV[5])) do
  local id, queue, state, positions = its[1], KEYS[its[2]], KEYS[its[2] + 1], its[3]
  if redis.call('HEXISTS', state, 'behind') == 0 then
    if redis.call('ZCARD', queue) + #positions > tonumber(ARGV[4]) then
      redis.call('HSET', state, 'behind', ARGV[1])
    else
      for _, position in ipairs(positions) do redis.call('ZADD', queue, 'NX', ARGV[3], position) end
    end
    redis.call('ZADD', KEYS[2], 'LT', ARGV[3], id)
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
