-- Takes one token out of each bucket, or of none when one of them is empty.
-- KEYS  one hash per bucket: t (tokens left), at (when that was, in ms)
-- ARGV  for each bucket: capacity, tokens per second
-- Returns 0 when they were taken, else the milliseconds until all could give one.
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local left, wait_ms = {}, 0
for i, key in ipairs(KEYS) do
  local capacity, per_s = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local kept = redis.call('HMGET', key, 't', 'at')
  -- After a step back of the clock nothing grows until it has caught up.
  local passed_ms = math.max(0, now_ms - tonumber(kept[2] or now_ms))
  left[i] = math.min(capacity, tonumber(kept[1] or capacity) + passed_ms / 1000 * per_s)
  if left[i] < 1 then
    wait_ms = math.max(wait_ms, math.ceil((1 - left[i]) / per_s * 1000))
  end
end
if wait_ms > 0 then
  return wait_ms
end
for i, key in ipairs(KEYS) do
  local capacity, per_s = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  redis.call('HSET', key, 't', string.format('%.6f', left[i] - 1), 'at', string.format('%.0f', now_ms))
  redis.call('PEXPIRE', key, math.ceil(capacity / per_s * 1000) + 1000)
end
return 0
