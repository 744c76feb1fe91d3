-- Takes exported borrowers in, unless they are already here.
-- ARGV: member, age in ms, last failure or '', 1 if it is a dead letter, value, ...
local loaded = 0
for i = 1, #ARGV, 5 do
  local member, age, why, is_dead, rest = unpack(ARGV, i, i + 4)
  if redis.call('HEXISTS', info, member) == 0 then
    local value = struct.pack('<d', now - tonumber(age)) .. string.sub(rest, 9)
    if is_dead == '1' then put(member, value, DEAD + now) else put_ready(member, value) end
    write()
    if why ~= '' then redis.call('HSET', reason, member, why) end
    loaded = loaded + 1
  end
end
return loaded
