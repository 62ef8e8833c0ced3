-- Stands before each script. KEYS[1] is the key; ARGV[1] is what it stands for and who asks: the
-- record's name (32 bytes) and the owner (16).
--
-- What is kept under a key, in bytes counted from 1:
--
--     1 version, 2 state, 3-34 name, 35-50 owner, and then
--     in flight or abandoned: 51-58 deadline, 59-62 lease, 63-70 fence, 71-74 attempt, 75-123 fingerprint
--     completed: the record
local key, who = KEYS[1], ARGV[1]
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
  local found, name = string.sub(value, 1, 34), string.sub(who, 1, 32)
  if found == COMPLETED .. name then return value, COMPLETED, nil end
  if found == IN_FLIGHT .. name then return value, IN_FLIGHT, nil end
  if found == ABANDONED .. name then return value, ABANDONED, nil end
  return nil, nil, who .. 'x'
end

local function is_mine(value)
  return string.sub(value, 35, 50) == string.sub(who, 33, 48)
end

-- Wakes who waits for the key. That may be forbidden: they look again by themselves.
local function wake(command)
  if command ~= '' then redis.pcall(command, key, '') end
end
