-- Ends a claim under which nothing was done. Fence and attempt go on counting where there were
-- others before, and so does what is known of an effect.
-- $1 name, $2 owner, $3 the waiters' lock, $4 channel, $5 message
WITH mine AS (
    SELECT name,
        fence > 1 OR EXISTS (SELECT FROM {effects} WHERE name = $1::bytea AND committed) AS stays
    FROM {table}
    WHERE name = $1 AND owner = $2::bytea AND state = 'P' AND expires_at > clock_timestamp()
    FOR UPDATE
), gone AS (
    DELETE FROM {table} AS kept USING mine WHERE kept.name = mine.name AND NOT stays
    RETURNING kept.name
), forgotten AS (
    DELETE FROM {effects} AS known USING gone WHERE known.name = gone.name
), abandoned AS (
    UPDATE {table} AS kept SET state = 'A' FROM mine WHERE kept.name = mine.name AND stays
)
SELECT
    CASE WHEN NOT pg_try_advisory_xact_lock($3::bigint) THEN pg_notify($4::text, $5::text)::text END
FROM mine
