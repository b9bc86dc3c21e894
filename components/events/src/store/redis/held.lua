-- What is held back for a consumer with its events, in the order of the log.
-- ARGV: the position that it comes after, how many.
local log, held = KEYS[1], KEYS[2]
local after = tonumber(ARGV[1])
local positions = {}
for _, field in ipairs(redis.call('HKEYS', held)) do
    local position = tonumber(field)
    if position > after then
        positions[#positions + 1] = position
    end
end
table.sort(positions)
local found = {}
for i = 1, math.min(#positions, tonumber(ARGV[2])) do
    local position = string.format('%.0f', positions[i])
    local entry = redis.call('XRANGE', log, position .. '-0', position .. '-0')[1]
    if entry then
        found[#found + 1] = { redis.call('HGET', held, position), entry[2][2] }
    end
end
if #found == 0 then
    return '[]'
end
return cjson.encode(found)
