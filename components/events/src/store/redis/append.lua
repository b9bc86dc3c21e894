-- Adds the events that the log does not have yet. Returns how many those were.
-- ARGV: the moment, for how many seconds an event is remembered, then for each event its key and the event itself.
local log, last, seen = KEYS[1], KEYS[2], KEYS[3]
local appended = 0
for i = 3, #ARGV, 2 do
    if redis.call('SET', seen .. ARGV[i], 1, 'NX', 'EX', ARGV[2]) then
        local position = redis.call('INCR', last)
        redis.call('XADD', log, string.format('%.0f-0', position), 'event', ARGV[i + 1], 'at', ARGV[1])
        appended = appended + 1
    end
end
return tostring(appended)
