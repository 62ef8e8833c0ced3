-- Tells an operator what is kept under the key.
-- ARGV: name and owner, 1 if it is the record that is asked for
local value, state, failed = read()
if failed then return failed end
if not value then return who .. 'la' end
if ARGV[2] == '0' then return who .. 'lf' .. describe(key) end
if state ~= COMPLETED then return who .. 'la' end
return who .. 'lr' .. string.sub(value, 19)
