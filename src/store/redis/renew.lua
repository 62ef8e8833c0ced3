-- Moves the deadline of a claim.
-- ARGV: name and owner, lease, ttl
local value, state, failed = read()
if failed then return failed end
if state ~= IN_FLIGHT or not is_mine(value) then return { who .. 'nl', '' } end
local lease = tonumber(ARGV[2])
redis.call('SETRANGE', key, 50, struct.pack('>I8I4', clock() + lease, lease))
redis.call('PEXPIRE', key, lease + tonumber(ARGV[3]))
return { who .. 'nr', '' }
