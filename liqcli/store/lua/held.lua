-- For scripts that act on leases. ARGV[1] and ARGV[2]: members and their tokens, each as one string. Calls
-- act(members, values) for those whose token still holds, and returns which of them, counted from 0, do not.
local function for_held(act)
  local total, refused, seen = #ARGV[1] / 20, {}, {}
  for first = 1, total, CHUNK do
    local size = math.min(CHUNK, total - first + 1)
    local asked = {struct.unpack(string.rep('c20', size), ARGV[1], 20 * first - 19)}
    local tokens = {struct.unpack(string.rep('c8', size), ARGV[2], 8 * first - 7)}
    asked[size + 1] = nil
    local stored, members, values, n = fetch(asked), {}, {}, 0
    for i = 1, size do
      local member, value = asked[i], stored[i]
      if value and not seen[member] and string.sub(value, 9, 16) == tokens[i] then
        n = n + 1
        seen[member], members[n], values[n] = true, member, value
      else
        refused[#refused + 1] = first + i - 2
      end
    end
    if n > 0 then act(members, values) end
  end
  return refused
end
