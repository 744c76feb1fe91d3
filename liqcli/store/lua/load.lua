-- Takes exported borrowers in, unless they are already here. ARGV: member, age in ms, tries, last failure or '', value, ...
local loaded = 0
for i = 1, #ARGV, 5 do
  local member, age, tries, why, rest = unpack(ARGV, i, i + 4)
  if redis.call('HEXISTS', info, member) == 0 then
    local value = struct.pack('<d', now - tonumber(age)) .. string.sub(rest, 9)
    if state_of(value) == DEAD then
      redis.call('ZADD', dead, now, member)
      redis.call('HSET', info, member, with(value, 0, tonumber(tries), DEAD))
    else
      make_ready(member, with(value, 0, tonumber(tries), READY))
    end
    if why ~= '' then redis.call('HSET', reason, member, why) end
    loaded = loaded + 1
  end
end
return loaded
