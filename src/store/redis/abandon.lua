-- Ends a claim whose outcome nobody knows.
-- ARGV: name and owner, command that wakes
local value, state, failed = read()
if failed then return failed end
if state == IN_FLIGHT and is_mine(value) then
  redis.call('SETRANGE', key, 0, ABANDONED)
  wake(ARGV[2])
end
return who .. 'bd'
