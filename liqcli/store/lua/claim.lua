-- ARGV: how many, lease in ms, highest rank to take, ms after which a lower tier may jump in, the lowest that may
local want, lease_ms, ceiling, starving_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local lowest = tonumber(ARGV[5])
local WINDOW_MS = 300000
local SHARE = 8 -- one place in eight is for a starving lower tier

if redis.call('HEXISTS', meta, 'paused') == 1 then return {0} end

-- Those of a place whose time has come go back to `ready` with the rank they had.
local function bring_back(place, last, added_tries)
  local members = redis.call('ZRANGEBYSCORE', queue, place, last, 'LIMIT', 0, CHUNK)
  if #members == 0 then return 0 end
  local values, news = fetch(members), news_of(members)
  for i, member in ipairs(members) do
    local value = values[i] or unknown()
    if news[i] then value = merge(value, news[i]) end
    put_ready(member, settled(value, base_of(value), tries_of(value) + added_tries))
  end
  write()
  redis.call('HDEL', dirty, unpack(members))
  return #members
end

for _ = 1, 10 do
  local expired = bring_back(LEASED, LEASED + now, 1)
  count('expired', expired)
  if expired + bring_back(LATER, LATER + now, 0) + bring_back(STRAY, '+inf', 0) == 0 then break end
end

local token = redis.call('HINCRBY', meta, 'fence', 1)

-- A tier's next members that have really waited too long, and their ranks; a low score alone makes none old.
local function overdue_in(tier, places)
  local start = tier * BAND
  local found = redis.call(
    'ZRANGEBYSCORE', queue, start, start + ZERO + now - starving_ms, 'WITHSCORES', 'LIMIT', 0, places
  )
  local old = {}
  for i, value in ipairs(#found > 0 and fetch(every_second(found, 1)) or {}) do
    local rank = found[2 * i]
    if value and now - (rank - base_of(value)) > starving_ms then
      old[#old + 1], old[#old + 2] = found[2 * i - 1], rank
    end
  end
  return old
end

-- Each tier below critical has its turn to be first.
local function starving(places)
  local found = {}
  for turn = 1, lowest do
    if #found >= 2 * places then break end
    local overdue = overdue_in(1 + (token + turn) % lowest, places - #found / 2)
    for _, item in ipairs(overdue) do found[#found + 1] = item end
  end
  return found
end

-- Members and their ranks, in turns.
local function choose()
  local places = math.floor(want / SHARE)
  if places == 0 and token % SHARE == 0 then places = 1 end
  local overdue, chosen, seen = starving(places), {}, {}
  local urgent = redis.call('ZRANGEBYSCORE', queue, '-inf', ceiling, 'WITHSCORES', 'LIMIT', 0, want)
  if #overdue == 0 then return urgent end
  for i = 1, #overdue, 2 do seen[overdue[i]] = true end
  for i = 1, #urgent, 2 do
    if #chosen + #overdue >= 2 * want then break end
    if not seen[urgent[i]] then chosen[#chosen + 1], chosen[#chosen + 2] = urgent[i], urgent[i + 1] end
  end
  for _, item in ipairs(overdue) do chosen[#chosen + 1] = item end
  return chosen
end

local out, foreign, waits = {token}, {}, {}
local pack, sub = struct.pack, string.sub
local ends = string.format('%.0f', LEASED + now + lease_ms)

-- The caller gets the values behind the token.
local function lease_all(chosen)
  local members, leases, kept, n, handed = every_second(chosen, 1), {}, {}, 0, #out
  local values = fetch(members)
  for i = 1, #members do
    local member, value = members[i], values[i]
    if #member == 20 then
      local base = value and base_of(value) or ZERO
      local pushed = value and chosen[2 * i] - base or 0
      if pushed <= 0 then pushed = now end -- a rank of somebody else's
      local rest = sub(value or unknown(), 17)
      leases[n + 1], leases[n + 2] = ends, member
      kept[n + 1], kept[n + 2] = member, pack('<ddc0', pushed, token, rest)
      out[handed + n + 1], out[handed + n + 2] = member, rest
      n = n + 2
      local waited = base - base % BAND + (pushed < now and now - pushed or 0)
      waits[waited] = (waits[waited] or 0) + 1
    else
      foreign[#foreign + 1] = member
    end
  end
  if n > 0 then
    redis.call('HSET', info, unpack(kept))
    redis.call('ZADD', queue, unpack(leases))
  end
end

local chosen = choose()
for first = 1, #chosen, 2 * CHUNK do
  lease_all({unpack(chosen, first, math.min(first + 2 * CHUNK - 1, #chosen))})
end
for first = 1, #foreign, CHUNK do
  redis.call('ZREM', queue, unpack(foreign, first, math.min(first + CHUNK - 1, #foreign)))
end

-- Counted by tier and quarter of an octave.
local function note_waits()
  local window, buckets = math.floor(now / WINDOW_MS), {}
  local key = KEYS[6 + window % 2]
  if redis.call('HGET', key, 'window') ~= tostring(window) then
    redis.call('DEL', key)
    redis.call('HSET', key, 'window', window)
  end
  for waited, by in pairs(waits) do
    local bucket = math.floor(4 * math.log(waited % BAND + 1) / math.log(2))
    local field = math.floor(waited / BAND) .. ':' .. bucket
    buckets[field] = (buckets[field] or 0) + by
  end
  for field, by in pairs(buckets) do redis.call('HINCRBY', key, field, by) end
end

if #out > 1 then note_waits() end
count('claimed', (#out - 1) / 2)
count('foreign', #foreign)
return out
