-- KEYS: one a limit. ARGV: the time now; 1 where a request asks to pass, and 0 where none does; then of each limit its
-- interval, its requests and how many have passed without being charged. Times in microseconds.
-- What has passed is charged in any case. All limits let the request pass and are charged for it, or none is.
-- Answers 1 or 0, and then where each stands.
local now, passes = tonumber(ARGV[1]), tonumber(ARGV[2])
local charged, moved = {}, {}
for i, key in ipairs(KEYS) do
  local interval, requests, owed = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local most = now + interval * requests
  local stored = tonumber(redis.call('GET', key) or now)
  charged[i] = math.min(math.min(math.max(stored, now), most) + owed * interval, most)
  moved[i] = charged[i] + interval
  if moved[i] > most then passes = 0 end
end
local stands = passes == 1 and moved or charged
local answer = { passes }
for i, key in ipairs(KEYS) do
  if stands[i] > now then
    redis.call('SET', key, string.format('%.0f', stands[i]), 'PX', math.ceil((stands[i] - now) / 1000))
  end
  answer[i + 1] = stands[i]
end
return answer
