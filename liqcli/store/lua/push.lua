-- ARGV: 1 if no member stands twice, member, value whose time is 0, ...
local stamp = struct.pack('<d', now)
local added, merged = 0, 0

local function add(from, to, known)
  local ranks, values, n = {}, {}, 0
  for i = from, to, 2 do
    local member, value = ARGV[i], ARGV[i + 1]
    local old = known[(i - from) / 2 + 1]
    if old then
      arrive(member, old, stamp .. string.sub(value, 9))
    else
      ranks[n + 1], ranks[n + 2] = now + struct.unpack('<d', value, 9), member
      values[n + 1], values[n + 2] = member, value
      n = n + 2
    end
  end
  if n > 0 then
    redis.call('ZADD', ready, unpack(ranks))
    redis.call('HSET', info, unpack(values))
  end
  added = added + n / 2
  merged = merged + (to - from + 1 - n) / 2
end

local step = ARGV[1] == '1' and CHUNK or 1
for from = 2, #ARGV, 2 * step do
  local to = math.min(from + 2 * step - 1, #ARGV)
  add(from, to, fetch(every_second(ARGV, from, to)))
end
count('pushed', added + merged)
count('merged', merged)
tick('i', added)
return added
