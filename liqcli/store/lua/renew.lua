-- ARGV[3]: lease in ms.
local ends = LEASED + now + tonumber(ARGV[3])
return for_held(function(members)
  local leases = {}
  for i, member in ipairs(members) do leases[2 * i - 1], leases[2 * i] = ends, member end
  redis.call('ZADD', queue, unpack(leases))
end)
