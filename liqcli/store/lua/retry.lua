-- ARGV from the third on: most tries, first back-off in ms, longest back-off in ms, why.
local most, first_ms, longest_ms, why = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local died, retried = 0, 0

local function place_after(tries)
  if tries >= most then
    died = died + 1
    return DEAD + now
  end
  retried = retried + 1
  return LATER + now + math.min(first_ms * 2 ^ (tries - 1), longest_ms)
end

local refused = for_held(function(members, values)
  local news = news_of(members)
  for i, member in ipairs(members) do
    local tries = tries_of(values[i]) + 1
    local failed, place = settled(values[i], base_of(values[i]), tries), place_after(tries)
    redis.call('HSET', reason, member, why)
    put(member, failed, place)
    if news[i] then arrive(member, failed, place, news[i]) end -- what is put last counts
  end
  write()
  redis.call('HDEL', dirty, unpack(members))
end)
count('retried', retried)
count('died', died)
return refused
