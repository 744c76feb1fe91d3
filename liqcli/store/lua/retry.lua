-- ARGV: most tries, first back-off in ms, longest back-off in ms, why, member, token, ...
local most, first_ms, longest_ms, why = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local died, retried = 0, 0

local function bury(member, value)
  redis.call('ZADD', dead, now, member)
  redis.call('HSET', info, member, value)
  died = died + 1
end

local function postpone(member, value, tries)
  redis.call('ZADD', later, now + math.min(first_ms * 2 ^ (tries - 1), longest_ms), member)
  redis.call('HSET', info, member, value)
  retried = retried + 1
end

local accepted = for_held(5, function(member, value)
  local tries = tries_of(value) + 1
  local gives_up = tries >= most
  local failed = with(value, 0, tries, gives_up and DEAD or LATER)
  redis.call('HSET', reason, member, why)
  if gives_up then bury(member, failed) else postpone(member, failed, tries) end
  local news = redis.call('HGET', dirty, member)
  if news then arrive(member, failed, news) end
  redis.call('HDEL', dirty, member)
  redis.call('ZREM', lease, member)
end)
count('retried', retried)
count('died', died)
return accepted
