-- KEYS[1]: the jobs of a kind. ARGV: how many at most, how many of one organization may run, and then each organization of
-- which some run, with how many more of it may.
-- Takes those due longest first. Those of an organization that has its share stay where they are.
local wanted, share, left, taken = tonumber(ARGV[1]), tonumber(ARGV[2]), {}, {}
for i = 3, #ARGV, 2 do
  left[ARGV[i]] = tonumber(ARGV[i + 1])
end
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local organization = string.sub(member, 17)
  local free = left[organization] or share
  if organization == '' or free > 0 then
    left[organization] = free - 1
    taken[#taken + 1] = member
    if #taken == wanted then break end
  end
end
if #taken > 0 then
  redis.call('ZREM', KEYS[1], unpack(taken))
end
return taken
