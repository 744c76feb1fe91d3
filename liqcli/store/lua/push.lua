-- ARGV: 1 if no member stands twice, members as one string, their values, each behind its size, as another, and their bases.
-- Columns, because an argument costs more than taking a string apart.
local unique, total, packed, bases = ARGV[1] == '1', #ARGV[2] / 20, ARGV[3], ARGV[4]
local added, at = 0, 1

local function take(first, size)
  local members = {struct.unpack(string.rep('c20', size), ARGV[2], 20 * first - 19)}
  local values = {struct.unpack(string.rep('Bc0', size), packed, at)}
  local based = {struct.unpack('<' .. string.rep('d', size), bases, 8 * first - 7)}
  local ranks, pairs_of = {}, {}
  for i = 1, size do
    ranks[2 * i - 1], ranks[2 * i] = now + based[i], members[i]
    pairs_of[2 * i - 1], pairs_of[2 * i] = members[i], values[i]
  end
  members[size + 1], at = nil, values[size + 1]
  return members, values, ranks, pairs_of
end

-- Some are here already, ready or elsewhere. One of them with the very same value is ready, and nothing is new about it.
local function mix(members, values, ranks)
  local known, places = fetch(members), redis.call('ZMSCORE', queue, unpack(members))
  for i, member in ipairs(members) do
    if not known[i] then
      put(member, values[i], ranks[2 * i - 1])
      added = added + 1
    elseif known[i] ~= values[i] then
      arrive(member, known[i], tonumber(places[i]), values[i])
    end
  end
  write()
end

local step = unique and CHUNK or 1
for first = 1, total, step do
  local size = math.min(step, total - first + 1)
  local members, values, ranks, pairs_of = take(first, size)
  if redis.call('ZADD', queue, 'NX', unpack(ranks)) == size then
    redis.call('HSET', info, unpack(pairs_of))
    added = added + size
  else
    mix(members, values, ranks)
  end
end
count('pushed', total)
count('merged', total - added)
tick('i', added)
return added
