-- Reads what there is to do for a consumer: what is held back, with the event where it is to be tried now, and what comes next in the
-- log. What was read before and is not acknowledged, because a round ended in the middle or left it, comes first again.
-- ARGV: the consumer, the moment, how much of the log is read, how much can be held back, how much of that is tried.
local log, consumer, held, last = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, most_retried = tonumber(ARGV[2]), tonumber(ARGV[5])
local answer = { position = tonumber(redis.call('HGET', consumer, 'position') or 0), held = {}, entries = {} }

local all, retried = redis.call('HVALS', held), 0
for _, value in ipairs(all) do
    local it = cjson.decode(value)
    local event = false
    if it.state == 'retrying' and it.due_at <= now and retried < most_retried then
        local id = string.format('%.0f-0', it.position)
        local entry = redis.call('XRANGE', log, id, id)[1]
        if entry then
            event = entry[2][2]
            retried = retried + 1
        else
            -- Somebody trimmed it. What comes behind it is freed with the next round.
            redis.call('HDEL', held, string.format('%.0f', it.position))
        end
    end
    answer.held[#answer.held + 1] = { value, event }
end
if redis.call('HLEN', held) == 0 then
    redis.call('HDEL', consumer, 'next_due')
end

local window = math.min(tonumber(ARGV[3]), tonumber(ARGV[4]) - #all)
if window > 0 then
    for _, from in ipairs({ '0', '>' }) do
        local read = redis.call('XREADGROUP', 'GROUP', ARGV[1], 'broker', 'COUNT', window, 'STREAMS', log, from)
        local entries = read and read[1] and read[1][2] or {}
        for _, entry in ipairs(entries) do
            if entry[2] then
                answer.entries[#answer.entries + 1] = { entry[1], entry[2][2] }
            else
                redis.call('XACK', log, ARGV[1], entry[1]) -- It is not in the log any more.
            end
        end
        if #answer.entries > 0 then
            break
        end
    end
    -- What is not there any more, such as what somebody trimmed, is not waited for.
    if #answer.entries == 0 then
        redis.call('HSET', consumer, 'position', redis.call('GET', last) or 0)
    end
end
-- An empty table would be written as an object.
if #answer.held == 0 then answer.held = nil end
if #answer.entries == 0 then answer.entries = nil end
return cjson.encode(answer)
