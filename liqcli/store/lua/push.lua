-- ARGV: member, value without its first 8 bytes (the time), ...
local stamp = struct.pack('<d', now)
local added, merged = 0, 0
for first = 1, #ARGV, 2 * CHUNK do
  local members = slice(ARGV, first, 2)
  local known = fetch(members)
  local fresh, ranks, values = {}, {}, {}
  for i, member in ipairs(members) do
    local value = stamp .. ARGV[first + 2 * i - 1]
    local old = fresh[member] or known[i]
    if old then merged = merged + 1 else added = added + 1 end
    if old and state_of(old) ~= READY then
      arrive(member, fetch({member})[1], value) -- read again: it may stand twice in this batch
    else
      if old then value = merge(old, value) end
      fresh[member] = value
      ranks[#ranks + 1] = rank(value)
      ranks[#ranks + 1] = member
      values[#values + 1] = member
      values[#values + 1] = value
    end
  end
  if #ranks > 0 then
    redis.call('ZADD', ready, unpack(ranks))
    redis.call('HSET', info, unpack(values))
  end
end
count('pushed', added + merged)
count('merged', merged)
tick('i', added)
return added
