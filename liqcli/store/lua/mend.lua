-- The operator's hand on borrowers that nobody holds. ARGV: promote | requeue | drop | count, base or tier ('' = any),
-- member, ...; `count` tells what `drop` would change.
local deed, argument = ARGV[1], ARGV[2]
local changed = 0

local function forget(member)
  redis.call('ZREM', queue, member)
  redis.call('HDEL', reason, member)
  redis.call('HDEL', info, member)
end

local function bring_forward(member, value, place)
  local base = deed == 'promote' and tonumber(argument) or base_of(value)
  put_ready(member, settled(timed(value, place), base, 0))
  write()
end

for i = 3, #ARGV do
  local member = ARGV[i]
  local value, place = fetch({member})[1], tonumber(redis.call('ZSCORE', queue, member))
  local free = place and not is_leased(place)
  if deed == 'drop' or deed == 'count' then
    local meant = argument == '' or (value and tier_of(value) == tonumber(argument))
    if meant and free then
      if deed == 'drop' then forget(member) end
      changed = changed + 1
    end
  elseif value and free and not (deed == 'requeue' and place < LEASED) then
    bring_forward(member, value, place)
    changed = changed + 1
  end
end
return changed
