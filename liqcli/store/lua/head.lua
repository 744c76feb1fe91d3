-- Shared by every queue script. All borrowers stand in one sorted set, and the score says where:
--   ready (its rank) | leased (+ end of lease) | later (+ not before) | dead (+ time of death)
-- so that each is in exactly one place whatever happens in the middle of a script. Its packed value is in `info`; facts
-- that arrive while it is leased wait in `dirty`. Lua has no rollback: facts are written first and the borrower is moved
-- last; one that has no facts is looked at.
local queue, info, dirty, reason, meta = unpack(KEYS)

local CHUNK = 500 -- unpack() fails near 8,000 values

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

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
