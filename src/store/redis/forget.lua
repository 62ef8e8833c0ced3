-- Removes what is kept under the key, also what cannot be read where that is forced.
-- ARGV: name and owner, 1 if also under a live lease, command that wakes
local forced = ARGV[2] == '1'
local value, state, failed = read()
if failed then
  local is_unreadable = type(failed) ~= 'table' or string.find(failed.err, 'WRONGTYPE')
  if not (is_unreadable and forced) then return failed end
elseif not value then
  return who .. 'ga'
elseif state == IN_FLIGHT and not forced and struct.unpack('>I8', value, 51) > clock() then
  return who .. 'gi'
end
redis.call('DEL', key)
wake(ARGV[3])
return who .. 'gd'
