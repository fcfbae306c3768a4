#!lua
-- Appends a group of commands to one ledger. Each command passes or fails alone; within a command it is all or nothing.
--
-- KEYS  1 the log   2 the head   3..7 buckets of command ids, for weeks WEEK-3 .. WEEK+1   8.. positions of streams
-- ARGV  WEEK by the caller's clock, the epochs it knows, the epochs to set (or empty),
--       for each command its id (16 bytes) and its hash (8 bytes), all in one string,
--       and the commands in MessagePack, each {conditions, events}, where
--         a condition is {index into KEYS, expected version}, and
--         an event is {its bytes without the closing brace, indexes into KEYS of its streams}
-- Returns the recorded time, then for each command one of
--         {'recorded', first position, events}    {'repeated', first position, events}
--         {'command'}                             {'version', index into KEYS, actual version}
--
-- Lua has no rollback: whatever can refuse a command is looked at before its first write. Positions below 2^53 are
-- exact in a Lua number; %.0f keeps them out of exponent form.

local LOG, HEAD, BUCKETS, WEEKS = KEYS[1], KEYS[2], 3, 5
local WEEK_SECONDS, KEPT_SECONDS, LARGEST_STEP_BACK = 604800, 15 * 86400, 5000000

local function timestamp(at) -- RFC 3339 from microseconds since 1970; days to civil date after Hinnant
  local seconds = math.floor(at / 1e6)
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
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06.0fZ', year, month, day, math.floor(clock / 3600),
    math.floor(clock / 60) % 60, clock % 60, at - seconds * 1e6)
end

local head = redis.call('HMGET', HEAD, 'position', 'time', 'epochs')
local position, last = tonumber(head[1] or 0), tonumber(head[2] or 0)
local now = redis.call('TIME')
local at = tonumber(now[1]) * 1e6 + tonumber(now[2])
if last - at > LARGEST_STEP_BACK then
  return redis.error_reply(string.format('SKEW the last event is %.0f microseconds ahead of the clock', last - at))
end
at = math.max(at, last)
if (head[3] or '') ~= ARGV[2] then
  return redis.error_reply('EPOCH the ledger is in epochs "' .. (head[3] or '') .. '"')
end
local week = math.floor(tonumber(now[1]) / WEEK_SECONDS)
local bucket = KEYS[BUCKETS + 3 + week - tonumber(ARGV[1])]
if math.abs(week - tonumber(ARGV[1])) > 1 or not bucket then
  return redis.error_reply('SKEW the clocks of store and caller are more than a week apart')
end
local stamp = timestamp(at)

local function seen(id)
  for b = BUCKETS, BUCKETS + WEEKS - 1 do
    local found = redis.call('HGET', KEYS[b], id)
    if found then return found end
  end
end

local function append(id, hash, conditions, events)
  local found = seen(id)
  if found then
    local known, first, count = struct.unpack('>c8I8I4', found)
    if known ~= hash then return { 'command' } end
    return { 'repeated', first, count }
  end
  for _, condition in ipairs(conditions) do
    local version = redis.call('LLEN', KEYS[condition[1]])
    if version ~= condition[2] then return { 'version', condition[1], version } end
  end
  local first = position + 1
  for _, event in ipairs(events) do
    position = position + 1
    local number = string.format('%.0f', position)
    local tail = string.format(',"sequence":"%016.0f","recordedtime":"%s"}', position, stamp)
    redis.call('XADD', LOG, number .. '-0', 'e', event[1] .. tail) -- fails before any write if the log is ahead
    for _, stream in ipairs(event[2]) do redis.call('RPUSH', KEYS[stream], number) end
  end
  if #events > 0 then
    redis.call('HSET', HEAD, 'position', string.format('%.0f', position), 'time', string.format('%.0f', at))
  end
  if redis.call('HSET', bucket, id, struct.pack('>c8I8I4', hash, first, #events)) == 1
    and redis.call('HLEN', bucket) == 1 then
    redis.call('EXPIREAT', bucket, (week + 1) * WEEK_SECONDS + KEPT_SECONDS)
  end
  return { 'recorded', first, #events }
end

local answers = { stamp }
for n, command in ipairs(cmsgpack.unpack(ARGV[5])) do
  local id, hash = struct.unpack('c16c8', ARGV[4], 24 * n - 23)
  answers[#answers + 1] = append(id, hash, command[1], command[2])
end
if ARGV[3] ~= '' then redis.call('HSET', HEAD, 'epochs', ARGV[3]) end
return answers
