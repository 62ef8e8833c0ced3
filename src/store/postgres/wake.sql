-- Wakes who waits for a key that was rolled back.
-- $1 the waiters' lock, $2 channel, $3 message
SELECT CASE WHEN NOT pg_try_advisory_xact_lock($1::bigint) THEN pg_notify($2::text, $3::text)::text END
