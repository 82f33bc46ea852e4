-- Tells the readers of one shard that its owner lives, unless a change has told them lately.
-- KEYS  feed epoch, count of announced changes, feed
-- ARGV  expected epoch, how long the feed keeps (ms), how long it may be silent (ms)
-- Returns 1 when it spoke, 0 when that was not needed, -1 when the epoch is gone.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
if newest[1] then
  local silent_ms = now_ms - tonumber(string.match(newest[1][1], '^%d+'))
  -- After a step back of the clock the newest entry lies ahead of it: then speak.
  if silent_ms >= 0 and silent_ms < tonumber(ARGV[3]) then
    return 0
  end
end
-- No change: it carries the number of the next one and counts none. 0x90 is an empty msgpack array.
local following = tonumber(redis.call('GET', KEYS[2]) or '0') + 1
redis.call('XADD', KEYS[3], 'MINID', '~', string.format('%.0f', now_ms - ARGV[2]), '*',
  'n', string.format('%.0f', following), 'k', 0, 'e', ARGV[1], 'b', string.char(0x90))
return 1
