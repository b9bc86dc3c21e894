-- All dead letters of these consumers, with their events.
-- ARGV: the consumers.
local log, consumers = KEYS[1], KEYS[2]
local letters = {}
for i = 1, #ARGV do
    for _, value in ipairs(redis.call('HVALS', consumers .. ARGV[i] .. ':dead')) do
        local id = string.format('%.0f-0', cjson.decode(value).position)
        local entry = redis.call('XRANGE', log, id, id)[1]
        if entry then
            letters[#letters + 1] = { ARGV[i], value, entry[2][2] }
        end
    end
end
if #letters == 0 then
    return '[]'
end
return cjson.encode(letters)
