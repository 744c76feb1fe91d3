local function forget(members)
  redis.call('HDEL', info, unpack(members))
  redis.call('ZREM', queue, unpack(members))
end

-- Those something arrived for are ready again with it; returns the others.
local function renewed(members, news)
  local gone = {}
  for i, member in ipairs(members) do
    if news[i] then put_ready(member, news[i]) else gone[#gone + 1] = member end
  end
  write()
  redis.call('HDEL', dirty, unpack(members))
  return gone
end

local refused = for_held(function(members)
  local news = news_of(members)
  local gone = next(news) and renewed(members, news) or members
  if #gone > 0 then forget(gone) end
  if redis.call('EXISTS', reason) == 1 then redis.call('HDEL', reason, unpack(members)) end
end)

local done = #ARGV[1] / 20 - #refused
count('done', done)
count('late', #refused)
tick('o', done)
return refused
