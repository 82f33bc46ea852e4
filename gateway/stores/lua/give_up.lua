-- Ends a feed epoch: the shard counts as lost until it is rebuilt.
-- KEYS  feed epoch
-- ARGV  the epoch to end; one that another has begun since stays
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
