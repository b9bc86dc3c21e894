-- Sends a consumer back in the log, or ahead: what comes after the position is delivered next, also what was held back of it. Returns
-- whether there is such a consumer.
-- ARGV: the consumer, the position.
local log, last, consumer, held, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if redis.call('EXISTS', consumer) == 0 then
    return '0'
end
local position = math.min(tonumber(ARGV[2]), tonumber(redis.call('GET', last) or 0))
local id = string.format('%.0f', position)
for _, which in ipairs({ held, dead }) do
    for _, field in ipairs(redis.call('HKEYS', which)) do
        if tonumber(field) > position then
            redis.call('HDEL', which, field)
        end
    end
end
-- A group made anew has nothing that waits to be acknowledged.
redis.call('XGROUP', 'DESTROY', log, ARGV[1])
redis.call('XGROUP', 'CREATE', log, ARGV[1], id .. '-0', 'MKSTREAM')
redis.call('HSET', consumer, 'position', id, 'lease', '', 'due_at', 0)
return '1'
