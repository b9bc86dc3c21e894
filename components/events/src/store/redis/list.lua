-- Entries of the log, newest first.
-- ARGV: the position that they come before (or `+`), how many.
local before = ARGV[1] == '+' and '+' or string.format('(%.0f-0', tonumber(ARGV[1]))
local entries = {}
for i, entry in ipairs(redis.call('XREVRANGE', KEYS[1], before, '-', 'COUNT', ARGV[2])) do
    entries[i] = { entry[1], tonumber(entry[2][4]), entry[2][2] }
end
if #entries == 0 then
    return '[]'
end
return cjson.encode(entries)
