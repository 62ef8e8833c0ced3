-- Moves the deadline of a claim.
-- ARGV: name and owner, lease, lease and ttl
local value, state, failed = read()
if failed then return failed end
if state ~= IN_FLIGHT or not is_mine(value) then return who .. 'nl' end
redis.call('SETRANGE', key, 50, struct.pack('>I8I4', clock() + ARGV[2], ARGV[2]))
redis.call('PEXPIRE', key, ARGV[3])
return who .. 'nr'
