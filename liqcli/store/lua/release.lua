-- Gives leases back untouched.
return for_held(function(members, values)
  local news = news_of(members)
  for i, member in ipairs(members) do
    put_ready(member, news[i] and merge(values[i], news[i]) or values[i])
  end
  write()
  redis.call('HDEL', dirty, unpack(members))
end)
