-- Tells what an operator is told of a key: milliseconds that it is kept, its length, milliseconds
-- that are left of a lease, and its first bytes. Nothing, where nothing is there.
local function describe(found)
  local head = redis.pcall('GETRANGE', found, 0, 122)
  if type(head) == 'table' then
    -- In a cluster, a key may be on its way to another node.
    if not string.find(head.err, 'WRONGTYPE') then return nil end
    return struct.pack('>i8I4i8I1', 0, 0, 0, 0)
  end
  local kept = redis.call('PTTL', found)
  if kept == -2 then return nil end
  local left = 0
  if string.sub(head, 1, 2) == IN_FLIGHT and #head == 123 then
    local deadline, lease = struct.unpack('>I8I4', head, 51)
    -- No more than the lease, where the clock was set back.
    left = math.min(deadline - clock(), lease)
  end
  return struct.pack('>i8I4i8I1', kept, redis.call('STRLEN', found), left, #head) .. head
end
