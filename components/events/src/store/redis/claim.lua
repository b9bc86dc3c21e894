-- Takes the leases of the consumers that are due. Returns their names and how often in a row each took nothing.
-- ARGV: the moment, the lease, when it ends, then the consumers.
local log, last, consumers = KEYS[1], KEYS[2], KEYS[3]
local now = tonumber(ARGV[1])
local position = tonumber(redis.call('GET', last) or 0)
local claimed = {}
for i = 4, #ARGV do
    local key = consumers .. ARGV[i]
    if redis.call('EXISTS', key) == 0 then
        redis.call('XGROUP', 'CREATE', log, ARGV[i], '0', 'MKSTREAM')
        redis.call('HSET', key, 'position', 0, 'due_at', 0, 'failures', 0)
    end
    local it = redis.call('HMGET', key, 'position', 'due_at', 'failures', 'next_due')
    local something = tonumber(it[1]) < position or (it[4] and tonumber(it[4]) <= now)
    if something and tonumber(it[2]) <= now then
        redis.call('HSET', key, 'lease', ARGV[2], 'due_at', ARGV[3])
        claimed[#claimed + 1] = { ARGV[i], tonumber(it[3]) }
    end
end
if #claimed == 0 then
    return '[]'
end
return cjson.encode(claimed)
