-- Take a key's ownership, or lengthen it: KEYS[1] the hash, ARGV = owner, the epoch held (0 = none yet), lease in ms.
-- Returns {epoch, owner}: the epoch is 0 when somebody else is the owner. The fields outlive the lease, so that epochs rise.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local owner, held, ends = unpack(redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'ends'))
local epoch, mine = tonumber(held or 0), tonumber(ARGV[2])
local lives = ends and tonumber(ends) > now
if owner and mine > 0 and (owner ~= ARGV[1] or epoch ~= mine) then
  return {0, owner}
end
if lives and owner ~= ARGV[1] then
  return {0, owner}
end
if mine == 0 or not owner then
  epoch = math.max(epoch, mine) + 1
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', epoch, 'ends', now + tonumber(ARGV[3]))
return {epoch, ARGV[1]}
