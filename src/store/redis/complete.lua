-- Ends a claim with a record, also where the claim was lost.
-- ARGV: name and owner, record, ttl, command that wakes
local value, state, failed = read()
if failed then return failed end
if value then
  if state == ABANDONED or not is_mine(value) then return who .. 'fs' end
  if state == COMPLETED then return who .. 'fk' end
end
redis.call('SET', key, COMPLETED .. owner .. ARGV[2], 'PX', ARGV[3])
wake(ARGV[4])
return who .. 'fk'
