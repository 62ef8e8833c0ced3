-- Ends a claim whose outcome is unknown with a record made by hand.
-- ARGV: name and owner, record, ttl, fence, fingerprint, command that wakes
local value, state, failed = read()
if failed then return failed end
if not value then return who .. 'ma' end
if state == COMPLETED then return who .. (is_mine(value) and 'mr' or 'mc') end
if state == IN_FLIGHT and struct.unpack('>I8', value, 51) > clock() then return who .. 'mi' end
if string.sub(value, 63, 70) ~= ARGV[4] or string.sub(value, 75, 123) ~= ARGV[5] then return who .. 'mo' end
redis.call('SET', key, COMPLETED .. owner .. ARGV[2], 'PX', ARGV[3])
wake(ARGV[6])
return who .. 'mr'
