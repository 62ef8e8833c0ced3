-- Returns the record under the name, or null where something else is kept. A replay and a name
-- under which nothing is need no more, at a fraction of the cost of what could say everything.
-- $1 name
SELECT CASE state WHEN 'C' THEN record END FROM {table}
WHERE name = $1::bytea AND expires_at > clock_timestamp()
