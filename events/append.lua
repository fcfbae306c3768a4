#!lua
-- Appends a group of commands to one ledger. Each command passes or fails alone; within a command it is all or nothing.
--
-- KEYS  1 the log   2 the head   3..7 buckets of command ids, for weeks WEEK-3 .. WEEK+1   8.. positions of streams
-- ARGV  WEEK by the caller's clock, the epochs it knows, the epochs to set (or empty),
--       for each command its id (16 bytes) and its hash (8 bytes), all in one string,
--       the commands in MessagePack, each {conditions, events, whether it follows the one before it}, where
--         a condition is {index into KEYS, expected version}, and
--         an event is the indexes into KEYS of its streams;
--       '1' if the caller waits for replicas, or '0';
--       and the bytes of each event of all commands without the closing brace
-- Returns for each command one of
--         {'recorded', first position, events, recorded time}    {'repeated', first position, events, ''}
--         {'command'}                                            {'version', index into KEYS, actual version}
--         {'turn'}: the command that it follows was not recorded by this call
--
-- Every command has a recorded time of its own, at least a microsecond after the one before it: what was said at no
-- known time can then be put in the order in which it was recorded.
-- Lua has no rollback. So the whole group is decided first, with reads that also show every key to be of its type;
-- then it is written. The server looks at memory, disk and role no later than at the first write, which is the XADD of
-- the first event, and that fails if the log is ahead of the head; the XADDs after it follow it, so they cannot. Should
-- any later write fail all the same, the head stays behind the log, and nothing is appended to that.
-- Positions below 2^53 are exact in a Lua number. %d and the server's own conversion keep them out of exponent form,
-- which .. and tostring() do not.

local LOG, HEAD, BUCKETS, WEEKS, EVENTS = KEYS[1], KEYS[2], 3, 5, 7
local WEEK_SECONDS, KEPT_SECONDS, LARGEST_STEP_BACK = 604800, 15 * 86400, 5000000
local CHUNK = 1000 -- unpack() gives some 8,000 values at most; the ids of a group are at most 64

local function date_and_time(seconds) -- RFC 3339 up to the fraction, since 1970; days to civil date after Hinnant
  local days = math.floor(seconds / 86400)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local clock = seconds - days * 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.', year, month, day, math.floor(clock / 3600),
    math.floor(clock / 60) % 60, clock % 60)
end

local head = redis.call('HMGET', HEAD, 'position', 'time', 'epochs', 'refused')
if head[4] then return redis.error_reply('DIVERGED ' .. head[4]) end
local position, last = tonumber(head[1] or 0), tonumber(head[2] or 0)
local earlier = position
local now = redis.call('TIME')
local at = tonumber(now[1]) * 1e6 + tonumber(now[2])
if last - at > LARGEST_STEP_BACK then
  return redis.error_reply(string.format('SKEW the last event is %.0f microseconds ahead of the clock', last - at))
end
at = math.max(at - 1, last) -- of the command before the first one
if (head[3] or '') ~= ARGV[2] then
  return redis.error_reply('EPOCH the ledger is in epochs "' .. (head[3] or '') .. '"')
end
local week = math.floor(tonumber(now[1]) / WEEK_SECONDS)
local bucket = KEYS[BUCKETS + 3 + week - tonumber(ARGV[1])]
if math.abs(week - tonumber(ARGV[1])) > 1 or not bucket then
  return redis.error_reply('SKEW the clocks of store and caller are more than a week apart')
end
local second, up_to_it
local function timestamp(time) -- RFC 3339 from microseconds since 1970; most of it is worked out once for each second
  local seconds = math.floor(time / 1e6)
  if seconds ~= second then second, up_to_it = seconds, date_and_time(seconds) end
  return string.format('%s%06dZ', up_to_it, time - seconds * 1e6)
end

-- The decision: nothing is written before its end.

local commands = cmsgpack.unpack(ARGV[5])
local ids, known = {}, {} -- known: what is in the buckets, and what this group adds to them
for n = 1, #commands do ids[n] = string.sub(ARGV[4], 24 * n - 23, 24 * n - 8) end
for b = BUCKETS, BUCKETS + WEEKS - 1 do
  for n, found in ipairs(redis.call('HMGET', KEYS[b], unpack(ids))) do -- ipairs: what is not there is false, not nil
    if found then known[ids[n]] = found end
  end
end

local versions = {}
local function version(stream)
  local length = versions[stream] or redis.call('LLEN', KEYS[stream])
  versions[stream] = length
  return length
end

local function refused(conditions)
  for _, condition in ipairs(conditions) do
    local actual = version(condition[1])
    if actual ~= condition[2] then return { 'version', condition[1], actual } end
  end
end

local answers, recorded, listed, remembered, repeated = {}, {}, {}, {}, false
local given = EVENTS - 1 -- where in ARGV the events of the commands so far end
for n, command in ipairs(commands) do
  local id, hash, events = ids[n], string.sub(ARGV[4], 24 * n - 7, 24 * n), command[2]
  local answer
  if known[id] then
    local its, first, count = struct.unpack('>c8I8I4', known[id])
    answer = its == hash and { 'repeated', first, count, '' } or { 'command' }
    repeated = repeated or its == hash
  elseif command[3] and answers[n - 1][1] ~= 'recorded' then
    answer = { 'turn' }
  else
    answer = refused(command[1])
  end
  if not answer then
    if #events > 0 then at = at + 1 end
    answer = { 'recorded', position + 1, #events, timestamp(at) }
    known[id] = struct.pack('>c8I8I4', hash, position + 1, #events)
    remembered[#remembered + 1] = id
    remembered[#remembered + 1] = known[id]
    recorded[#recorded + 1] = { position, given, #events, ',"recordedtime":"' .. answer[4] .. '"}' }
    for _, streams in ipairs(events) do
      position = position + 1
      for _, stream in ipairs(streams) do
        versions[stream] = version(stream) + 1
        local numbers = listed[stream] or {}
        numbers[#numbers + 1] = position
        listed[stream] = numbers
      end
    end
  end
  given = given + #events
  answers[n] = answer
end

-- The writing: nothing is refused after its beginning.

for _, run in ipairs(recorded) do
  local before, argument, count, ending = unpack(run)
  for n = 1, count do
    local sequence = string.format(',"sequence":"%016d"', before + n)
    redis.call('XADD', LOG, string.format('%d-0', before + n), 'e', ARGV[argument + n] .. sequence .. ending)
  end
end
for stream, numbers in pairs(listed) do
  for n = 1, #numbers, CHUNK do
    redis.call('RPUSH', KEYS[stream], unpack(numbers, n, math.min(n + CHUNK - 1, #numbers)))
  end
end
if #remembered > 0 then
  local added = redis.call('HSET', bucket, unpack(remembered))
  if redis.call('HLEN', bucket) == added then
    redis.call('EXPIREAT', bucket, (week + 1) * WEEK_SECONDS + KEPT_SECONDS)
  end
  if ARGV[3] ~= '' then redis.call('HSET', HEAD, 'epochs', ARGV[3]) end
end
if position > earlier then
  redis.call('HSET', HEAD, 'position', position, 'time', at)
elseif repeated and #remembered == 0 and ARGV[6] == '1' then
  redis.call('HSET', HEAD, 'time', head[2]) -- WAITAOF waits for what its own connection wrote, so it has to write
end
return answers
