-- Dead letters of these consumers with their events, newest first.
-- ARGV: the position and consumer that they come before (or `+`), how many, then the consumers.
local log, consumers = KEYS[1], KEYS[2]
local before = tonumber(ARGV[1])
local found = {}
for i = 4, #ARGV do
    for _, field in ipairs(redis.call('HKEYS', consumers .. ARGV[i] .. ':dead')) do
        local position = tonumber(field)
        if not before or position < before or (position == before and ARGV[i] < ARGV[2]) then
            found[#found + 1] = { position, ARGV[i] }
        end
    end
end
table.sort(found, function(one, other)
    if one[1] ~= other[1] then
        return one[1] > other[1]
    end
    return one[2] > other[2]
end)
local letters = {}
for i = 1, math.min(#found, tonumber(ARGV[3])) do
    local position, consumer = string.format('%.0f', found[i][1]), found[i][2]
    local entry = redis.call('XRANGE', log, position .. '-0', position .. '-0')[1]
    if entry then
        letters[#letters + 1] = { consumer, redis.call('HGET', consumers .. consumer .. ':dead', position), entry[2][2] }
    end
end
if #letters == 0 then
    return '[]'
end
return cjson.encode(letters)
