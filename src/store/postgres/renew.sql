-- Moves the deadline of a claim. A guard's lock on the row does not stand in the way.
-- $1 name, $2 owner, $3 lease and $4 ttl in ms
UPDATE {table}
SET lease_until = clock_timestamp() + $3::bigint * interval '1 ms',
    expires_at = clock_timestamp() + ($3 + $4::bigint) * interval '1 ms'
WHERE name = $1::bytea AND owner = $2::bytea AND state = 'P' AND expires_at > clock_timestamp()
RETURNING true
