-- Ends a claim with a record, and wakes who waits for it.
-- $1 name, $2 owner, $3 record, $4 ttl in ms, $5 the waiters' lock, $6 channel, $7 message
WITH found AS MATERIALIZED (
    SELECT owner = $2::bytea AS mine, state
    FROM {table} WHERE name = $1::bytea AND expires_at > clock_timestamp()
), kept AS (
    INSERT INTO {table} AS kept
        (name, state, owner, fence, attempt, fingerprint, lease_until, expires_at, record)
    SELECT $1, 'C', $2, 1, 1, '', clock_timestamp(),
        clock_timestamp() + $4::bigint * interval '1 ms', $3::bytea
    -- A resend, or another's, is not even locked.
    WHERE NOT EXISTS (SELECT FROM found WHERE NOT mine OR state <> 'P')
    ON CONFLICT (name) DO UPDATE
    SET state = 'C', owner = excluded.owner, record = excluded.record, expires_at = excluded.expires_at
    WHERE kept.owner = $2 AND kept.state = 'P' OR kept.expires_at <= clock_timestamp()
    RETURNING true
)
SELECT
    CASE
        WHEN EXISTS (SELECT FROM kept) THEN 'kept'
        WHEN EXISTS (SELECT FROM found WHERE mine AND state = 'C') THEN 'kept'
        WHEN EXISTS (SELECT FROM found WHERE NOT mine OR state = 'A') THEN 'superseded'
        -- Another statement came between.
        ELSE 'again'
    END,
    CASE
        WHEN EXISTS (SELECT FROM kept) AND NOT pg_try_advisory_xact_lock($5::bigint)
        THEN pg_notify($6::text, $7::text)::text
    END
