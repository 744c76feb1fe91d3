-- ARGV: member, token, ...
local held = {}
local accepted = for_held(1, function(member) held[#held + 1] = member end)

for first = 1, #held, CHUNK do
  local members, gone = {unpack(held, first, math.min(first + CHUNK - 1, #held))}, {}
  local news = redis.call('HMGET', dirty, unpack(members))
  for i, member in ipairs(members) do
    if news[i] then
      make_ready(member, news[i])
      redis.call('HDEL', dirty, member)
    else
      gone[#gone + 1] = member
    end
  end
  if #gone > 0 then redis.call('HDEL', info, unpack(gone)) end
  redis.call('HDEL', reason, unpack(members))
  redis.call('ZREM', lease, unpack(members))
end
count('done', #held)
count('late', #accepted - #held)
tick('o', #held)
return accepted
