-- ARGV: how many, lease in ms, highest rank to take, ms after which a lower tier may jump in, the lowest that may
local want, lease_ms, ceiling, starving_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local lowest = tonumber(ARGV[5])
local WINDOW_MS = 300000
local SHARE = 8 -- one place in eight is for a starving lower tier

if redis.call('HEXISTS', meta, 'paused') == 1 then return {0} end

-- Expired leases and ended back-offs go back to `ready` with the rank they had.
local function bring_back(place, added_tries)
  local members = redis.call('ZRANGEBYSCORE', place, '-inf', now, 'LIMIT', 0, CHUNK)
  if #members == 0 then return 0 end
  local values = fetch(members)
  for i, member in ipairs(members) do
    local value = values[i] or unknown()
    local news = redis.call('HGET', dirty, member)
    if news then value = merge(value, news) end
    make_ready(member, with(value, 0, tries_of(value) + added_tries, READY))
  end
  redis.call('HDEL', dirty, unpack(members))
  redis.call('ZREM', place, unpack(members))
  return #members
end

for _ = 1, 10 do
  local expired = bring_back(lease, 1)
  count('expired', expired)
  if expired + bring_back(later, 0) == 0 then break end
end

local token = redis.call('HINCRBY', meta, 'fence', 1)

-- Those of a lower tier's next members that have really waited too long; a low score alone makes none old.
local function overdue_in(tier, places)
  local start = tier * BAND
  local members = redis.call('ZRANGEBYSCORE', ready, start, start + ZERO + now - starving_ms, 'LIMIT', 0, places)
  local old = {}
  for i, value in ipairs(#members > 0 and fetch(members) or {}) do
    value = value and timed(value, redis.call('ZSCORE', ready, members[i]))
    if value and now - struct.unpack('<d', value) > starving_ms then old[#old + 1] = members[i] end
  end
  return old
end

-- Each tier below critical has its turn to be first.
local function starving(places)
  local found = {}
  for turn = 1, lowest do
    if #found >= places then break end
    for _, member in ipairs(overdue_in(1 + (token + turn) % lowest, places - #found)) do found[#found + 1] = member end
  end
  return found
end

local function choose()
  local places = math.floor(want / SHARE)
  if places == 0 and token % SHARE == 0 then places = 1 end
  local overdue, chosen, seen = starving(places), {}, {}
  for _, member in ipairs(overdue) do seen[member] = true end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', ready, '-inf', ceiling, 'LIMIT', 0, want)) do
    if #chosen + #overdue >= want then break end
    if not seen[member] then chosen[#chosen + 1] = member end
  end
  for _, member in ipairs(overdue) do chosen[#chosen + 1] = member end
  return chosen
end

local waits, out, foreign = {}, {token}, 0

local function note_wait(value)
  local pushed, base = struct.unpack('<dd', value)
  local bucket = math.floor(4 * math.log(math.max(now - pushed, 0) + 1) / math.log(2))
  local field = math.floor(base / BAND) .. ':' .. bucket
  waits[field] = (waits[field] or 0) + 1
end

local function lease_all(members)
  local values = fetch(members)
  local ranks = redis.call('ZMSCORE', ready, unpack(members))
  local stamp = struct.pack('<d', token)
  local leases, kept = {}, {}
  for i, member in ipairs(members) do
    local value = values[i] or unknown()
    local held = state_of(value) == LEASED and redis.call('ZSCORE', lease, member)
    if #member ~= 20 then
      foreign = foreign + 1
    elseif not held then
      value = string.sub(timed(value, ranks[i]), 1, 16) .. stamp .. string.sub(value, 25, 26) .. LEASED .. string.sub(value, 28)
      leases[#leases + 1] = now + lease_ms
      leases[#leases + 1] = member
      kept[#kept + 1] = member
      kept[#kept + 1] = value
      out[#out + 1] = member
      out[#out + 1] = value
      note_wait(value)
    end
  end
  if #kept > 0 then
    redis.call('ZADD', lease, unpack(leases))
    redis.call('HSET', info, unpack(kept))
  end
  redis.call('ZREM', ready, unpack(members))
end

local chosen = choose()
for first = 1, #chosen, CHUNK do lease_all({unpack(chosen, first, math.min(first + CHUNK - 1, #chosen))}) end

local window = math.floor(now / WINDOW_MS)
local waited = KEYS[9 + window % 2]
if next(waits) and redis.call('HGET', waited, 'window') ~= tostring(window) then
  redis.call('DEL', waited)
  redis.call('HSET', waited, 'window', window)
end
for field, by in pairs(waits) do redis.call('HINCRBY', waited, field, by) end
count('claimed', (#out - 1) / 2)
count('foreign', foreign)
return out
