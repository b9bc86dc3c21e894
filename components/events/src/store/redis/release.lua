-- Ends a lease, unless something came meanwhile. Returns when something that is held back is due, or that it did not end, or is somebody
-- else's.
-- ARGV: the lease, the moment, how much can be held back.
local last, consumer, held = KEYS[1], KEYS[2], KEYS[3]
local it = redis.call('HMGET', consumer, 'lease', 'position', 'next_due')
if it[1] ~= ARGV[1] then
    return 'lost'
end
local more = tonumber(it[2]) < tonumber(redis.call('GET', last) or 0)
if more and redis.call('HLEN', held) < tonumber(ARGV[3]) then
    return 'more'
end
if it[3] and tonumber(it[3]) <= tonumber(ARGV[2]) and redis.call('HLEN', held) > 0 then
    return 'more'
end
redis.call('HSET', consumer, 'lease', '', 'due_at', 0)
return it[3] or 'nothing'
