-- Stands before each script. KEYS[1] is the key; ARGV[1] is what it stands for and who asks: the
-- record's name (32 bytes) and the owner (16).
--
-- What is kept under a key, in bytes counted from 1:
--
--     1 version, 2 state, 3-18 owner, and then
--     in flight or abandoned: 19-50 name, 51-58 deadline, 59-62 lease, 63-70 fence, 71-74 attempt, 75-123 fingerprint
--     completed: the record, which has the name and the fingerprint in it
local key, who = KEYS[1], ARGV[1]
local name, owner = string.sub(who, 1, 32), string.sub(who, 33, 48)
local IN_FLIGHT, ABANDONED, COMPLETED = '\1P', '\1A', '\1C'

-- Milliseconds by the server's clock.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Returns the value and its state, or why there is none.
--
-- To the server GETEX is a write, though it changes nothing here. So a replica refuses it, and none
-- ever answers; and the writes after it pass when memory is out.
local function read()
  local value = redis.pcall('GETEX', key)
  if not value then return nil, nil, nil end
  if type(value) == 'table' then return nil, nil, value end
  local state = string.sub(value, 1, 2)
  -- Whether a record stands under its own name is for whoever reads it to see.
  if state == COMPLETED and #value >= 18 then return value, state, nil end
  local is_claim = state == IN_FLIGHT or state == ABANDONED
  if is_claim and string.sub(value, 19, 50) == name then return value, state, nil end
  return nil, nil, who .. 'x'
end

local function is_mine(value)
  return string.sub(value, 3, 18) == owner
end

-- Wakes who waits for the key. That may be forbidden: they look again by themselves.
local function wake(command)
  if command ~= '' then redis.pcall(command, key, '') end
end
