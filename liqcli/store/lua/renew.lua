-- ARGV: lease in ms, member, token, ...
return for_held(2, function(member)
  redis.call('ZADD', lease, now + tonumber(ARGV[1]), member)
end)
