-- ARGV: member, token, ...
local finished = 0
local accepted = for_held(1, function(member)
  local news = redis.call('HGET', dirty, member)
  if news then
    make_ready(member, news)
    redis.call('HDEL', dirty, member)
  else
    redis.call('HDEL', info, member)
  end
  redis.call('HDEL', reason, member)
  redis.call('ZREM', lease, member)
  finished = finished + 1
end)
count('done', finished)
count('late', #accepted - finished)
tick('o', finished)
return accepted
