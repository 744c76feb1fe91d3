-- For scripts that act on leases. Calls act(member, value) for each pair (member, token) in ARGV from `first` on
-- whose token still holds, and returns 1 or 0 for each.
local function for_held(first, act)
  local accepted, seen = {}, {}
  for start = first, #ARGV, 2 * CHUNK do
    local members = every_second(ARGV, start, math.min(start + 2 * CHUNK - 1, #ARGV))
    local values = fetch(members)
    for i, member in ipairs(members) do
      local value = values[i]
      local holds = value and not seen[member] and state_of(value) == LEASED
        and token_of(value) == tonumber(ARGV[start + 2 * i - 1])
      if holds then
        act(member, value)
        seen[member] = true
      end
      accepted[#accepted + 1] = holds and 1 or 0
    end
  end
  return accepted
end
