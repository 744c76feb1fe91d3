-- Shared by every queue script. A borrower is in exactly one of four sorted sets:
--   ready (score = rank), lease (score = end of lease), later (score = not before), dead (score = time of death)
-- and has one packed value in `info`; facts that arrive while it is leased wait in `dirty`.
-- Lua has no rollback: every script reads first, writes the new place next and leaves the old place last,
-- so that an error half-way leaves a borrower in two places, never in none.
local ready, lease, later, dead, info, dirty, reason, meta = unpack(KEYS)

local CHUNK = 500 -- unpack() fails near 8,000 values
local READY, LEASED, LATER, DEAD = 'R', 'L', 'W', 'D'
-- First pushed (ms), base (tier and score), token, tries, state; then health factor and reasons. What was pushed once
-- and not touched since has 0 as its time: there it is rank - base, so that a push can store values as they come.
local HEAD = '<dddHc1'
local HEAD_SIZE = 27
local BAND = 1e13 -- width of a tier in the ranks
local ZERO = 1e8 -- base of score 0 inside a tier
local REASONS_LIMIT = 160

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function rank(value)
  local pushed, base = struct.unpack('<dd', value)
  return pushed + base
end

-- The value with the time of its first push in it.
local function timed(value, at)
  local pushed, base = struct.unpack('<dd', value)
  if pushed > 0 then return value end
  return struct.pack('<d', at and at - base or now) .. string.sub(value, 9)
end

local function state_of(value)
  return string.sub(value, HEAD_SIZE, HEAD_SIZE)
end

local function token_of(value)
  return struct.unpack('<d', value, 17)
end

local function tries_of(value)
  return struct.unpack('<H', value, 25)
end

local function tier_of(value)
  return math.floor(struct.unpack('<d', value, 9) / BAND)
end

local function with(value, token, tries, state)
  return string.sub(value, 1, 16) .. struct.pack('<dHc1', token, math.min(tries, 65535), state)
    .. string.sub(value, HEAD_SIZE + 1)
end

-- A member whose value is missing was written by someone else: it is unknown, so it is looked at first.
local function unknown()
  return struct.pack(HEAD, now, ZERO, 0, 0, READY) .. '\0' .. 'found without facts'
end

local function facts_of(value)
  local size = string.byte(value, HEAD_SIZE + 1)
  return string.sub(value, HEAD_SIZE + 1, HEAD_SIZE + 1 + size), string.sub(value, HEAD_SIZE + 2 + size)
end

local function join_reasons(old, new)
  if string.find(', ' .. old .. ', ', ', ' .. new .. ', ', 1, true) then return old end
  if #old + #new + 2 > REASONS_LIMIT then return old end
  return old .. ', ' .. new
end

-- The most urgent tier and score, the age of the first, the newest health factor, all reasons.
local function merge(old, new)
  local pushed, base, token, tries, state = struct.unpack(HEAD, old)
  local new_pushed, new_base = struct.unpack('<dd', new)
  local health, reasons = facts_of(old)
  local new_health, new_reasons = facts_of(new)
  if #new_health > 1 then health = new_health end
  return struct.pack(HEAD, math.min(pushed, new_pushed), math.min(base, new_base), token, tries, state)
    .. health .. join_reasons(reasons, new_reasons)
end

local function count(field, by)
  if by > 0 then redis.call('HINCRBY', meta, field, by) end
end

-- A ring of 64 one-second counters, each "second:count".
local function tick(side, by)
  if by == 0 then return end
  local second = math.floor(now / 1000)
  local field = side .. (second % 64)
  local at, sum = string.match(redis.call('HGET', meta, field) or '', '^(%d+):(%d+)$')
  if tonumber(at) ~= second then sum = 0 end
  redis.call('HSET', meta, field, string.format('%d:%d', second, sum + by))
end

-- The values of these members; false where there is none, or one too short to be ours.
local function fetch(members)
  local values = redis.call('HMGET', info, unpack(members))
  for i = 1, #members do
    if values[i] and #values[i] <= HEAD_SIZE then values[i] = false end
  end
  return values
end

local function every_second(list, from, to)
  local part, n = {}, 0
  for i = from, to, 2 do
    n = n + 1
    part[n] = list[i]
  end
  return part
end

-- Puts one borrower into `ready`; the caller leaves the old place afterwards.
local function make_ready(member, value)
  redis.call('ZADD', ready, rank(value), member)
  redis.call('HSET', info, member, value)
end

-- An event for a borrower that is already known.
local function arrive(member, old, new)
  local state = state_of(old)
  if state == READY then old = timed(old, redis.call('ZSCORE', ready, member)) end
  if state == LEASED then
    local waiting = redis.call('HGET', dirty, member)
    redis.call('HSET', dirty, member, waiting and merge(waiting, new) or new)
  elseif state == LATER and tier_of(new) >= tier_of(old) then
    redis.call('HSET', info, member, merge(old, new)) -- its back-off stands
  else
    make_ready(member, with(merge(old, new), 0, tries_of(old), READY))
    redis.call('ZREM', later, member)
    redis.call('ZREM', dead, member)
  end
end
