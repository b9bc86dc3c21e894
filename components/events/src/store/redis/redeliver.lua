-- Has a dead letter delivered again, as if it had never been tried. Returns whether there is one.
-- ARGV: its position, the moment.
local consumer, held, dead = KEYS[1], KEYS[2], KEYS[3]
local value = redis.call('HGET', dead, ARGV[1])
if not value then
    return '0'
end
local it = cjson.decode(value)
it.state, it.attempts, it.due_at = 'retrying', 0, tonumber(ARGV[2])
redis.call('HDEL', dead, ARGV[1])
redis.call('HSET', held, ARGV[1], cjson.encode(it))
redis.call('HSET', consumer, 'next_due', 0)
return '1'
