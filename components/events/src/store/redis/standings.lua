-- How the consumers are doing.
-- ARGV: the consumers.
local last, consumers = KEYS[1], KEYS[2]
local position = tonumber(redis.call('GET', last) or 0)
local standings = {}
for i = 1, #ARGV do
    local key = consumers .. ARGV[i]
    local it = redis.call('HMGET', key, 'position', 'failures', 'last_error')
    local reached, failures = tonumber(it[1] or 0), tonumber(it[2] or 0)
    standings[i] = {
        consumer = ARGV[i], position = reached, behind = position - reached, held = redis.call('HLEN', key .. ':held'),
        dead = redis.call('HLEN', key .. ':dead'), failures = failures, last_error = failures > 0 and it[3] or cjson.null,
    }
end
return cjson.encode(standings)
