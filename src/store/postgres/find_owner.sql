-- Tells whether the record under the name is this owner's.
-- $1 name, $2 owner
SELECT owner = $2::bytea FROM {table}
WHERE name = $1::bytea AND state = 'C' AND expires_at > clock_timestamp()
