"""What the server does in one step: the Lua behind `RedisTier`.

KEYS of a key: its record, its lease; they share a hash tag. A record begins with `SWC1`, its kind, and sixteen
digits of version; see `record`. News is published as kind, version, and name.
"""

from __future__ import annotations

from seawall.redis import Script

_COMMON = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function digits(version) return string.format('%016.0f', version) end
-- What is none of ours, of whatever type, counts as nothing: it is replaced by what comes next.
local function read(key)
  local found = redis.pcall('GET', key)
  return type(found) == 'string' and found
end
local function number_in(text)
  local number = string.match(text or '', '^%d+$') and tonumber(text)
  return number and number <= 4503599627370496 and number or 0
end
local function version_of(key)
  local head = redis.pcall('GETRANGE', key, 0, 20)
  return type(head) == 'string' and number_in(string.match(head, '^SWC1.(%d+)$')) or 0
end
local function tell(channel, stream, length, news)
  if length ~= '0' then
    local id = redis.call('XADD', stream, 'MAXLEN', '~', length, '*', 'n', news)
    redis.call('PUBLISH', channel, id .. ' ' .. news)
  else
    redis.call('PUBLISH', channel, ' ' .. news)
  end
end
"""

WRITE = Script(
    _COMMON
    + """
-- KEYS: record, lease, stream. ARGV: channel, stream length, name, kind, body, milliseconds to keep, deadline
-- A command that comes after its deadline is of a caller who has given it up, and who says so again when he can.
local time = now()
if time > tonumber(ARGV[7]) then return 0 end
local version = math.max(time, version_of(KEYS[1]) + 1)
redis.call('SET', KEYS[1], 'SWC1' .. ARGV[4] .. digits(version) .. ARGV[5], 'PX', ARGV[6])
redis.call('DEL', KEYS[2])
tell(ARGV[1], KEYS[3], ARGV[2], 'c' .. digits(version) .. ARGV[3])
return version
"""
)

FILL = Script(
    _COMMON
    + """
-- KEYS: record, lease, stream. ARGV: channel, stream length, name, version, record, milliseconds to keep, token
if read(KEYS[2]) == ARGV[7] then redis.call('DEL', KEYS[2]) end
if version_of(KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[6])
tell(ARGV[1], KEYS[3], ARGV[2], 'c' .. ARGV[4] .. ARGV[3])
return 1
"""
)

REPLAY = Script(
    _COMMON
    + """
-- KEYS: record, lease, stream. ARGV: channel, stream length, name, version, record, milliseconds to keep,
-- tombstone, its milliseconds
local version = tonumber(ARGV[4])
local current = version_of(KEYS[1])
if current >= version then return 0 end
local record, keep = ARGV[5], ARGV[6]
-- Where nothing is left of what was there, not even a tombstone, nobody knows whether this is the newest.
if record == '' or (current == 0 and now() - version > ARGV[8] * 1000) then record, keep = ARGV[7], ARGV[8] end
redis.call('SET', KEYS[1], record, 'PX', keep)
redis.call('DEL', KEYS[2])
tell(ARGV[1], KEYS[3], ARGV[2], 'c' .. ARGV[4] .. ARGV[3])
return 1
"""
)

INVALIDATE = Script(
    _COMMON
    + """
-- KEYS: tag, stream. ARGV: channel, stream length, name, version or 0, milliseconds to keep, deadline
local version = tonumber(ARGV[4])
if version == 0 and now() > tonumber(ARGV[6]) then return 0 end
local current = number_in(read(KEYS[1]))
if version == 0 then version = math.max(now(), current + 1) end
if current >= version then return current end
redis.call('SET', KEYS[1], digits(version), 'PX', ARGV[5])
tell(ARGV[1], KEYS[2], ARGV[2], 't' .. digits(version) .. ARGV[3])
return version
"""
)

ACQUIRE = Script(
    _COMMON
    + """
-- KEYS: record, lease. ARGV: seen version, token, milliseconds
-- {version} is the lease, {milliseconds, holder} somebody else's, a string the record that was written meanwhile
local current = version_of(KEYS[1])
if current > tonumber(ARGV[1]) then
  local record = redis.call('GET', KEYS[1])
  if string.sub(record, 5, 5) ~= 'd' then return record end
end
local holder = read(KEYS[2])
local left = redis.call('PTTL', KEYS[2])
-- A lease ends some day: what never does is none.
if holder and holder ~= ARGV[2] and left >= 0 then return {left, holder} end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return {math.max(now(), current + 1)}
"""
)

RENEW = Script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
)

RELEASE = Script(
    """
-- KEYS: lease. ARGV: token, channel, news
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ' ' .. ARGV[3])
return 1
"""
)
