-- Returns the record under the name. A replay needs no more, at a fraction of the cost of a claim.
-- $1 name
SELECT record FROM {table}
WHERE name = $1::bytea AND state = 'C' AND expires_at > clock_timestamp()
