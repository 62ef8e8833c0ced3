-- Tells which of these names somebody works under.
-- $1 names
SELECT name FROM {table}
WHERE name = ANY($1::bytea[]) AND state = 'P'
    AND lease_until > clock_timestamp() AND expires_at > clock_timestamp()
