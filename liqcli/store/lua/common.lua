-- How a stored value is read, merged and moved; for every script that looks into values.
local BAND = 1e13 -- width of a tier or of a place in the scores
local LEASED, LATER, DEAD, STRAY = 5 * BAND, 6 * BAND, 7 * BAND, 8 * BAND
local ZERO = 1e8 -- base of score 0 inside a tier
-- First pushed (ms), token, base (tier and score), tries; then health factor and reasons. While a borrower is ready the
-- first two are 0, and its first push was at rank - base: so a push stores values as they come.
local HEAD = '<dddH'
local HEAD_SIZE = 26
local UNTOUCHED = struct.pack('<dd', 0, 0)
local REASONS_LIMIT = 160

local function is_leased(place)
  return place >= LEASED and place < LATER
end

local function base_of(value)
  return (struct.unpack('<d', value, 17))
end

local function tries_of(value)
  return (struct.unpack('<H', value, 25))
end

local function tier_of(value)
  return math.floor(base_of(value) / BAND)
end

-- A ready borrower's value with the time of its first push in it.
local function timed(value, place)
  if place >= LEASED then return value end
  return struct.pack('<d', place - base_of(value)) .. string.sub(value, 9)
end

-- The value with no token.
local function settled(value, base, tries)
  return struct.pack(HEAD, struct.unpack('<d', value), 0, base, math.min(tries, 65535)) .. string.sub(value, HEAD_SIZE + 1)
end

-- A member whose value is missing was written by someone else: it is unknown, so it is looked at first.
local function unknown()
  return struct.pack(HEAD, now, 0, ZERO, 0) .. '\0' .. 'found without facts'
end

local function facts_of(value)
  local size = string.byte(value, HEAD_SIZE + 1)
  return string.sub(value, HEAD_SIZE + 1, HEAD_SIZE + 1 + size), string.sub(value, HEAD_SIZE + 2 + size)
end

local function join_reasons(old, new)
  if old == new or string.find(', ' .. old .. ', ', ', ' .. new .. ', ', 1, true) then return old end
  if #old + #new + 2 > REASONS_LIMIT then return old end
  return old .. ', ' .. new
end

-- The most urgent tier and score, the age of the first, the newest health factor, all reasons.
local function merge(old, new)
  local health, reasons = facts_of(old)
  local new_health, new_reasons = facts_of(new)
  if #new_health > 1 then health = new_health end
  return string.sub(old, 1, 16) .. struct.pack('<d', math.min(base_of(old), base_of(new))) .. string.sub(old, 25, 26)
    .. health .. join_reasons(reasons, new_reasons)
end

-- The values of these members; false where there is none, or one too short to be ours.
local function fetch(members)
  local values = redis.call('HMGET', info, unpack(members))
  for i = 1, #members do
    if values[i] and #values[i] <= HEAD_SIZE then values[i] = false end
  end
  return values
end

-- What arrived for these while they were leased: mostly nothing, which is cheap to see.
local function news_of(members)
  if redis.call('EXISTS', dirty) == 0 then return {} end
  return redis.call('HMGET', dirty, unpack(members))
end

local function every_second(list, from)
  local part, n = {}, 0
  for i = from, #list, 2 do
    n = n + 1
    part[n] = list[i]
  end
  return part
end

local facts, moves = {}, {}

-- What a borrower's value and, unless it stays, its place shall be, once `write` is called.
local function put(member, value, place)
  local n = #facts
  facts[n + 1], facts[n + 2] = member, value
  if place then
    n = #moves
    moves[n + 1], moves[n + 2] = place, member
  end
end

local function put_ready(member, value)
  local pushed, _, base = struct.unpack('<ddd', value)
  put(member, UNTOUCHED .. string.sub(value, 17), (pushed > 0 and pushed or now) + base)
end

local function write()
  if #facts > 0 then redis.call('HSET', info, unpack(facts)) end
  if #moves > 0 then redis.call('ZADD', queue, unpack(moves)) end
  facts, moves = {}, {}
end

-- An event for a borrower that is already known.
local function arrive(member, old, place, new)
  if is_leased(place) then
    local waiting = redis.call('HGET', dirty, member)
    redis.call('HSET', dirty, member, waiting and merge(waiting, new) or timed(new, now + base_of(new)))
    return
  end
  local both = merge(old, new)
  if place >= DEAD or place >= LATER and tier_of(new) < tier_of(old) then
    put_ready(member, both)
  elseif both ~= old then -- a back-off stands
    put(member, both, place < LEASED and place + base_of(both) - base_of(old))
  end
end
