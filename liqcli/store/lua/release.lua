-- Gives leases back untouched. ARGV: member, token, ...
return for_held(1, function(member, value)
  local news = redis.call('HGET', dirty, member)
  if news then value = merge(value, news) end
  make_ready(member, with(value, 0, tries_of(value), READY))
  redis.call('HDEL', dirty, member)
  redis.call('ZREM', lease, member)
end)
