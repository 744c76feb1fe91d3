-- The rest of a push: some are here already, ready or elsewhere. One of them with the very same value is ready, and
-- nothing is new about it.
local function mix()
  local members = every_second(fields, 1)
  local known, places = fetch(members), redis.call('ZMSCORE', queue, unpack(members))
  for i, member in ipairs(members) do
    local value = fields[2 * i]
    if not known[i] then
      put(member, value, ranks[2 * i - 1])
      added = added + 1
    elseif known[i] ~= value then
      arrive(member, known[i], tonumber(places[i]), value)
    end
  end
  write()
end

mix()
while first <= total do
  if not add() then mix() end
end
return finish()
