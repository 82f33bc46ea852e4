-- Puts the rebuilt live states of one shard in place and begins a new feed epoch, unless the shard has one: then
-- another rebuilt it while these states were read, and has changed it since.
-- KEYS  feed epoch, run id it was begun on, count of announced changes, feed, live states, rebuilt states
-- ARGV  new epoch, run id of this server, how many states were rebuilt
-- Returns 1; 0 when another has begun an epoch on this server, -1 when rebuilt states are missing.
if redis.call('GET', KEYS[1]) and redis.call('GET', KEYS[2]) == ARGV[2] then
  redis.call('DEL', KEYS[6])
  return 0
end
-- A server that was emptied while they were put there would pass the rest off as all.
if redis.call('HLEN', KEYS[6]) ~= tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[6])
  return -1
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[5])
else
  redis.call('RENAME', KEYS[6], KEYS[5])
  redis.call('PERSIST', KEYS[5])
end
redis.call('MSET', KEYS[1], ARGV[1], KEYS[2], ARGV[2], KEYS[3], '0')
-- Wakes the readers that wait for the next change: they see another epoch and fill again. 0x90 is an empty array.
redis.call('XADD', KEYS[4], '*', 'n', '0', 'k', '0', 'e', ARGV[1], 'b', string.char(0x90))
return 1
