-- Ends a claim whose outcome nobody knows.
-- $1 name, $2 owner, $3 the waiters' lock, $4 channel, $5 message
WITH abandoned AS (
    UPDATE {table} SET state = 'A'
    WHERE name = $1::bytea AND owner = $2::bytea AND state = 'P' AND expires_at > clock_timestamp()
    RETURNING true
)
SELECT
    CASE WHEN NOT pg_try_advisory_xact_lock($3::bigint) THEN pg_notify($4::text, $5::text)::text END
FROM abandoned
