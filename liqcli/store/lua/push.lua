-- ARGV: 1 if no member stands twice, members and their values, each value behind its size, as one string, and their
-- bases as another: an argument costs more than taking a string apart. Where all are new nothing has to be merged, and
-- the functions for that are not even made: for fifty borrowers they cost a tenth of the whole.
local total, packed, bases = #ARGV[3] / 8, ARGV[2], ARGV[3]
local step = ARGV[1] == '1' and CHUNK or 1
local added, first, at = 0, 1, 1
local fields, ranks -- of the chunk at hand: member, value, .. and rank, member, ..

local function take()
  local size = math.min(step, total - first + 1)
  local based = {struct.unpack('<' .. string.rep('d', size), bases, 8 * first - 7)}
  fields = {struct.unpack(string.rep('c20Bc0', size), packed, at)}
  at = table.remove(fields)
  ranks = {}
  for i = 1, size do ranks[2 * i - 1], ranks[2 * i] = now + based[i], fields[2 * i - 1] end
  first = first + size
  return size
end

-- True if all of the next chunk were new. Those that were, are in the queue, but without facts if one of them was not.
local function add()
  local size = take()
  if redis.call('ZADD', queue, 'NX', unpack(ranks)) < size then return false end
  redis.call('HSET', info, unpack(fields))
  added = added + size
  return true
end

local function finish()
  count('pushed', total)
  count('merged', total - added)
  tick('i', added)
  return added
end

local all_new = true
while all_new and first <= total do all_new = add() end
if all_new then return finish() end
