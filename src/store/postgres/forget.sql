-- Removes what is kept under a name, at an operator's request, and wakes who waits for it.
-- $1 name, $2 whether also under a live lease, $3 the waiters' lock, $4 channel, $5 message
WITH kept AS MATERIALIZED (
    SELECT FROM {table} WHERE name = $1::bytea AND expires_at > clock_timestamp()
), found AS MATERIALIZED (
    -- Not while the transaction of a guard has it: it may commit an effect.
    SELECT name, state = 'P' AND lease_until > clock_timestamp() AND NOT $2::boolean AS stays
    FROM {table} WHERE name = $1 AND expires_at > clock_timestamp()
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {table} AS old USING found WHERE old.name = found.name AND NOT stays
    RETURNING old.name
), forgotten AS (
    DELETE FROM {effects} AS known USING gone WHERE known.name = gone.name
)
SELECT
    CASE
        WHEN EXISTS (SELECT FROM gone) THEN 'forgotten'
        WHEN EXISTS (SELECT FROM found) THEN 'in-flight'
        WHEN EXISTS (SELECT FROM kept) THEN 'locked'
        ELSE 'absent'
    END,
    CASE
        WHEN EXISTS (SELECT FROM gone) AND NOT pg_try_advisory_xact_lock($3::bigint)
        THEN pg_notify($4::text, $5::text)::text
    END
