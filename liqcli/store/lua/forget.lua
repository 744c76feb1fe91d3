-- ARGV: members of 20 bytes, one behind the other: a client packs one long argument far faster than hundreds.
local SIZE, CHUNK = 20, 500
local packed = ARGV[1]
for first = 1, #packed, SIZE * CHUNK do
  local members = {}
  for at = first, math.min(first + SIZE * CHUNK, #packed + 1) - SIZE, SIZE do
    members[#members + 1] = string.sub(packed, at, at + SIZE - 1)
  end
  redis.call('HDEL', KEYS[1], unpack(members))
end
return redis.status_reply('OK')
