-- ARGV: 1 if no member stands twice, how many, and all of them as one string: member, size of value, value whose time is 0.
-- One argument, because an argument costs more than taking the string apart.
local unique, total, packed = ARGV[1] == '1', tonumber(ARGV[2]), ARGV[3]
local stamp = struct.pack('<d', now)
local added, at = 0, 1

local function take(wanted)
  local members, values = {}, {}
  for i = 1, wanted do members[i], values[i], at = struct.unpack('<c20Bc0', packed, at) end
  return members, values
end

local function add(members, values)
  local known, ranks, fresh, n = fetch(members), {}, {}, 0
  for i, member in ipairs(members) do
    local value = values[i]
    if known[i] then
      arrive(member, known[i], stamp .. string.sub(value, 9))
    else
      ranks[n + 1], ranks[n + 2] = now + struct.unpack('<d', value, 9), member
      fresh[n + 1], fresh[n + 2] = member, value
      n = n + 2
    end
  end
  if n > 0 then
    redis.call('ZADD', ready, unpack(ranks))
    redis.call('HSET', info, unpack(fresh))
  end
  added = added + n / 2
end

local step = unique and CHUNK or 1
for left = total, 1, -step do add(take(math.min(step, left))) end
count('pushed', total)
count('merged', total - added)
tick('i', added)
return added
