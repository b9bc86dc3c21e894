-- How the consumers are doing.
-- ARGV: the moment, then the consumers.
local log, last, consumers = KEYS[1], KEYS[2], KEYS[3]
local now, position = tonumber(ARGV[1]), tonumber(redis.call('GET', last) or 0)
local standings = {}
for i = 2, #ARGV do
    local key = consumers .. ARGV[i]
    local it = redis.call('HMGET', key, 'position', 'failures', 'last_error')
    local reached, failures = tonumber(it[1] or 0), tonumber(it[2] or 0)
    -- What is held back comes before what the log has next.
    local held, oldest = redis.call('HKEYS', key .. ':held'), reached + 1
    for _, one in ipairs(held) do
        oldest = math.min(oldest, tonumber(one))
    end
    local waits = redis.call('XRANGE', log, string.format('%.0f-0', oldest), '+', 'COUNT', 1)[1]
    standings[i - 1] = {
        consumer = ARGV[i], position = reached, behind = position - reached, held = #held,
        dead = redis.call('HLEN', key .. ':dead'), waiting_ms = waits and math.max(0, now - tonumber(waits[2][4])) or 0,
        failures = failures, last_error = failures > 0 and it[3] or cjson.null,
    }
end
return cjson.encode(standings)
