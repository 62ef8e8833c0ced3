-- Ends a claim under which nothing was done. A later fence stays known, or it would be used twice.
-- ARGV: name and owner, command that wakes
local value, state, failed = read()
if failed then return failed end
if state == IN_FLIGHT and is_mine(value) then
  if struct.unpack('>I8', value, 63) == 1 then
    redis.call('DEL', key)
  else
    redis.call('SETRANGE', key, 0, ABANDONED)
  end
  wake(ARGV[2])
end
return who .. 'rd'
