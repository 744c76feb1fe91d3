-- For servers without HSETEX. ARGV: member, time to live in ms, value without its end of life, ...
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local CHUNK = 500
for first = 1, #ARGV, 3 * CHUNK do
  local fields = {}
  for i = first, math.min(first + 3 * CHUNK - 1, #ARGV), 3 do
    fields[#fields + 1] = ARGV[i]
    fields[#fields + 1] = struct.pack('<d', now + tonumber(ARGV[i + 1])) .. ARGV[i + 2]
  end
  redis.call('HSET', KEYS[1], unpack(fields))
end
return redis.status_reply('OK')
