-- Ends a claim whose outcome is unknown with a record made by hand, and wakes who waits for it.
-- $1 name, $2 owner of the record, $3 record, $4 ttl in ms, $5 fence and $6 fingerprint of the claim,
-- $7 the waiters' lock, $8 channel, $9 message
WITH kept AS MATERIALIZED (
    SELECT FROM {table} WHERE name = $1::bytea AND expires_at > clock_timestamp()
), found AS MATERIALIZED (
    -- Not while the transaction of a guard has it: it may commit an effect.
    SELECT name,
        CASE
            WHEN state = 'C' AND owner = $2::bytea THEN 'recorded'
            WHEN state = 'C' THEN 'completed'
            WHEN state = 'P' AND lease_until > clock_timestamp() THEN 'in-flight'
            WHEN state IN ('P', 'A') AND fence = $5::bigint AND fingerprint = $6::bytea THEN 'unknown'
            ELSE 'changed'
        END AS what
    FROM {table} WHERE name = $1 AND expires_at > clock_timestamp()
    FOR UPDATE SKIP LOCKED
), recorded AS (
    UPDATE {table} AS old
    SET state = 'C', owner = $2, record = $3::bytea,
        expires_at = clock_timestamp() + $4::bigint * interval '1 ms'
    FROM found WHERE old.name = found.name AND what = 'unknown'
    RETURNING true
)
SELECT
    CASE
        WHEN EXISTS (SELECT FROM recorded) THEN 'recorded'
        WHEN EXISTS (SELECT FROM found) THEN (SELECT what FROM found)
        WHEN EXISTS (SELECT FROM kept) THEN 'locked'
        ELSE 'absent'
    END,
    CASE
        WHEN EXISTS (SELECT FROM recorded) AND NOT pg_try_advisory_xact_lock($7::bigint)
        THEN pg_notify($8::text, $9::text)::text
    END
