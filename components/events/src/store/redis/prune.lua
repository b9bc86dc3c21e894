-- Forgets up to a thousand events that every consumer has, nobody holds back, and are older than a moment.
-- ARGV: that moment, then the consumers.
local log, consumers = KEYS[1], KEYS[2]
local reached
local kept = {}
for i = 2, #ARGV do
    local position = tonumber(redis.call('HGET', consumers .. ARGV[i], 'position') or 0)
    reached = math.min(reached or position, position)
    for _, which in ipairs({ ':held', ':dead' }) do
        for _, position in ipairs(redis.call('HKEYS', consumers .. ARGV[i] .. which)) do
            kept[position .. '-0'] = true
        end
    end
end
local from, to, forgotten = '-', string.format('%.0f-0', reached or 0), 0
while forgotten < 1000 do
    local entries = redis.call('XRANGE', log, from, to, 'COUNT', 1000)
    for _, entry in ipairs(entries) do
        if tonumber(entry[2][4]) >= tonumber(ARGV[1]) then
            return 'done'
        end
        if not kept[entry[1]] then
            redis.call('XDEL', log, entry[1])
            forgotten = forgotten + 1
        end
        from = '(' .. entry[1]
    end
    if #entries < 1000 then
        break
    end
end
return 'done'
