-- Tells an operator of some of the keys that are on the key's own node.
-- ARGV: name and owner, cursor, pattern of our keys, about how many, the length of our keys
--
-- That nothing is changed by it a replica cannot know, and refuses. Whatever stands there is another's.
local refused = redis.pcall('GETEX', key)
if type(refused) == 'table' and not string.find(refused.err, 'WRONGTYPE') then return refused end
local page = redis.call('SCAN', ARGV[2], 'MATCH', ARGV[3], 'COUNT', ARGV[4])
local answer = { who, 'ss', struct.pack('>I1', #page[1]), page[1] }
for _, found in ipairs(page[2]) do
  local described = #found == tonumber(ARGV[5]) and describe(found)
  if described then
    answer[#answer + 1] = string.sub(found, -24)
    answer[#answer + 1] = described
  end
end
return table.concat(answer)
