-- The operator's hand on borrowers that nobody holds. ARGV: promote | requeue | drop | count, base or tier ('' = any),
-- member, ...; `count` tells what `drop` would change.
local deed, argument = ARGV[1], ARGV[2]
local changed = 0

local function forget(member)
  for _, place in ipairs({ready, later, dead}) do redis.call('ZREM', place, member) end
  redis.call('HDEL', reason, member)
  redis.call('HDEL', info, member)
end

local function bring_forward(member, value)
  value = timed(value, redis.call('ZSCORE', ready, member))
  if deed == 'promote' then
    local pushed = struct.unpack('<d', value)
    value = struct.pack('<dd', pushed, tonumber(argument)) .. string.sub(value, 17)
  end
  make_ready(member, with(value, 0, 0, READY))
  redis.call('ZREM', later, member)
  redis.call('ZREM', dead, member)
end

for i = 3, #ARGV do
  local member = ARGV[i]
  local value = fetch({member})[1]
  local free = value and state_of(value) ~= LEASED
  if deed == 'drop' or deed == 'count' then
    local meant = argument == '' or (value and tier_of(value) == tonumber(argument))
    if meant and (free or not value) then
      if deed == 'drop' then forget(member) end
      changed = changed + 1
    end
  elseif free and not (deed == 'requeue' and state_of(value) == READY) then
    bring_forward(member, value)
    changed = changed + 1
  end
end
return changed
