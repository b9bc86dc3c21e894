-- Entries of the log, newest first.
-- ARGV: the position that they come before, the one that they come after, how many.
local before, after = string.format('(%.0f-0', tonumber(ARGV[1])), '-'
if tonumber(ARGV[2]) > 0 then
    after = string.format('(%.0f-0', tonumber(ARGV[2]))
end
local entries = {}
for i, entry in ipairs(redis.call('XREVRANGE', KEYS[1], before, after, 'COUNT', ARGV[3])) do
    entries[i] = { entry[1], tonumber(entry[2][4]), entry[2][2] }
end
if #entries == 0 then
    return '[]'
end
return cjson.encode(entries)
