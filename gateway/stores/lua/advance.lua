-- Changes the live states of one shard and announces it, or touches nothing of a device that changed in between.
-- KEYS  feed epoch, count of announced changes, live states, feed
-- ARGV  expected epoch, how long the feed keeps (ms),
--       then per step: device id, revision before (8 bytes), new value, change to announce or ''
-- Returns the indexes (from 0) of the steps that did not match, or -1 when the epoch is gone.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end

local FIELDS, FIRST = 4, 3
-- What unpack can put on Lua's stack is limited.
local SLICE = 500
local NEVER_HEARD = string.rep('\0', 8)

local steps = (#ARGV - FIRST + 1) / FIELDS
local mismatched, announced = {}, {}

for from = 0, steps - 1, SLICE do
  local upto = math.min(from + SLICE, steps) - 1
  local ids, writes = {}, {}
  for index = from, upto do
    ids[#ids + 1] = ARGV[FIRST + FIELDS * index]
  end
  local stored = redis.call('HMGET', KEYS[3], unpack(ids))
  for index = from, upto do
    local at = FIRST + FIELDS * index
    local value = stored[index - from + 1]
    local revision = value and string.sub(value, 1, 8) or NEVER_HEARD
    if revision == ARGV[at + 1] then
      writes[#writes + 1] = ARGV[at]
      writes[#writes + 1] = ARGV[at + 2]
      if ARGV[at + 3] ~= '' then
        announced[#announced + 1] = ARGV[at + 3]
      end
    else
      mismatched[#mismatched + 1] = index
    end
  end
  if #writes > 0 then
    redis.call('HSET', KEYS[3], unpack(writes))
  end
end

local count = #announced
if count > 0 then
  local last = redis.call('INCRBY', KEYS[2], count)
  -- The header of a msgpack array with `count` elements.
  local header
  if count < 16 then
    header = string.char(0x90 + count)
  else
    header = string.char(0xdc, math.floor(count / 256), count % 256)
  end
  local now = redis.call('TIME')
  local oldest = string.format('%.0f', now[1] * 1000 - ARGV[2])
  redis.call('XADD', KEYS[4], 'MINID', '~', oldest, '*',
    'n', string.format('%.0f', last - count + 1), 'k', count, 'e', ARGV[1],
    'b', header .. table.concat(announced))
end
return mismatched
