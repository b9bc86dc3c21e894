-- Sends a consumer back in the log, or ahead. Returns whether there is such a consumer.
-- ARGV: the consumer, the position.
local log, last, consumer = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', consumer) == 0 then
    return '0'
end
local position = math.min(tonumber(ARGV[2]), tonumber(redis.call('GET', last) or 0))
local id = string.format('%.0f', position)
-- A group made anew has nothing that waits to be acknowledged.
redis.call('XGROUP', 'DESTROY', log, ARGV[1])
redis.call('XGROUP', 'CREATE', log, ARGV[1], id .. '-0', 'MKSTREAM')
redis.call('HSET', consumer, 'position', id, 'lease', '', 'due_at', 0)
return '1'
