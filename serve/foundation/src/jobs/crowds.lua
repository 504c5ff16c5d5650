-- KEYS[1]: the jobs of a kind. ARGV[1]: how many make a crowd.
-- Answers with the organizations of which so many wait.
local crowd, waiting, crowds = tonumber(ARGV[1]), {}, {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local organization = string.sub(member, 17)
  if organization ~= '' then
    waiting[organization] = (waiting[organization] or 0) + 1
    if waiting[organization] == crowd then
      crowds[#crowds + 1] = organization
    end
  end
end
return crowds
