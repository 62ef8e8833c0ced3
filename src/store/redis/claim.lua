-- Claims the key, or tells what stands in the way.
-- ARGV: name and owner, fingerprint, lease, lease and ttl, 1 if what is unknown may run again
local fingerprint, lease, expiry = ARGV[2], ARGV[3], ARGV[4]

local function acquire(fence, attempt)
  local claim = struct.pack('>I8I4I8I4', clock() + lease, lease, fence, attempt)
  local set = redis.pcall('SET', key, IN_FLIGHT .. owner .. name .. claim .. fingerprint, 'PX', expiry)
  if set.err then return set end
  return who .. 'ca' .. struct.pack('>I8I4', fence, attempt)
end

-- The first write of a new claim is SET: it is refused when memory is out.
if redis.call('EXISTS', key) == 0 then return acquire(1, 1) end

local value, state, failed = read()
if failed then return failed end
if state == COMPLETED then return who .. 'cc' .. value end
local deadline, held_for, fence, attempt = struct.unpack('>I8I4I8I4', value, 51)
local theirs = string.sub(value, 75, 123)
if state == IN_FLIGHT then
  -- A resend.
  if is_mine(value) then return who .. 'ca' .. struct.pack('>I8I4', fence, attempt) end
  local left = deadline - clock()
  if left > held_for then
    -- The clock was set back. Whoever lives will renew; whoever died holds the key for one lease.
    left = held_for
    redis.call('SETRANGE', key, 50, struct.pack('>I8', clock() + left))
  end
  if left > 0 then return who .. 'ch' .. struct.pack('>I8', left) .. theirs end
end
if ARGV[5] == '1' and theirs == fingerprint then return acquire(fence + 1, attempt + 1) end
return who .. 'cu' .. theirs
