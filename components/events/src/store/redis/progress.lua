-- Notes down what a round has changed, if the lease is still there. Where nothing is left to do the lease ends. Returns what became of it.
-- ARGV: the consumer, the lease, how far it has come, until when it is left alone or the lease lasts, why it is left alone (or nothing),
-- what is held back and what was delivered of that, the moment, then the ids that are delivered or held back.
local log, consumer, held, dead, last = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if redis.call('HGET', consumer, 'lease') ~= ARGV[2] then
    return 'lost'
end

local changes = cjson.decode(ARGV[6])
for _, position in ipairs(changes.done) do
    redis.call('HDEL', held, string.format('%.0f', position))
end
for _, hold in ipairs(changes.hold) do
    local position = string.format('%.0f', hold.position)
    local entry = redis.call('XRANGE', log, position .. '-0', position .. '-0')[1]
    if entry then
        local event = cjson.decode(entry[2][2])
        local before = redis.call('HGET', held, position)
        hold.source, hold.subject = event.source, event.subject
        hold.since = before and cjson.decode(before).since or tonumber(ARGV[7])
        if hold.state == 'dead' then
            redis.call('HDEL', held, position)
            redis.call('HSET', dead, position, cjson.encode(hold))
        else
            redis.call('HSET', held, position, cjson.encode(hold))
        end
    end
end
for i = 8, #ARGV do
    redis.call('XACK', log, ARGV[1], ARGV[i])
end

-- The first of each subject is tried again, those behind it wait.
local first, next_due = {}, false
local all = redis.call('HVALS', held)
for _, value in ipairs(all) do
    local it = cjson.decode(value)
    local lane = it.source .. '#' .. it.subject
    if not first[lane] or it.position < first[lane].position then
        first[lane] = it
    end
end
for _, it in pairs(first) do
    if it.state == 'waiting' then
        it.state, it.due_at = 'retrying', 0
        redis.call('HSET', held, string.format('%.0f', it.position), cjson.encode(it))
    end
    if not next_due or it.due_at < next_due then
        next_due = it.due_at
    end
end
if next_due then
    redis.call('HSET', consumer, 'next_due', string.format('%.0f', next_due))
else
    redis.call('HDEL', consumer, 'next_due')
end

local position = math.max(tonumber(ARGV[3]), tonumber(redis.call('HGET', consumer, 'position')))
redis.call('HSET', consumer, 'position', string.format('%.0f', position), 'due_at', ARGV[4])
if ARGV[5] ~= '' then
    redis.call('HINCRBY', consumer, 'failures', 1)
    redis.call('HSET', consumer, 'last_error', ARGV[5], 'lease', '')
    return 'ended'
end
redis.call('HSET', consumer, 'failures', 0)
if not next_due and position >= tonumber(redis.call('GET', last)) then
    redis.call('HSET', consumer, 'lease', '', 'due_at', 0)
    return 'ended'
end
return 'held'
