-- KEYS: one a limit. ARGV: the time now, then interval and requests of each limit; in microseconds.
-- All limits let the request pass and are charged, or none is. Answers 1 or 0, and then where each stands.
local now = tonumber(ARGV[1])
local passes, stored, moved = 1, {}, {}
for i, key in ipairs(KEYS) do
  local interval, requests = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local slack = interval * requests
  local base = tonumber(redis.call('GET', key) or now)
  base = math.min(math.max(base, now), now + slack)
  stored[i], moved[i] = base, base + interval
  if moved[i] - now > slack then passes = 0 end
end
local answer = { passes }
for i, key in ipairs(KEYS) do
  local at = stored[i]
  if passes == 1 then
    at = moved[i]
    redis.call('SET', key, string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000))
  end
  answer[i + 1] = at
end
return answer
