-- Claims the key, or tells what stands in the way. Nothing is written where something does.
-- $1 name, $2 owner, $3 fingerprint, $4 lease and $5 ttl in ms, $6 whether the unknown may run again
WITH found AS MATERIALIZED (
    SELECT fence, attempt, fingerprint, record,
        CASE
            WHEN expires_at <= clock_timestamp() THEN 'expired'
            WHEN state = 'C' THEN 'completed'
            WHEN state = 'P' AND owner = $2::bytea THEN 'acquired'
            WHEN state = 'P' AND lease_until > clock_timestamp() THEN 'held'
            WHEN $6::boolean AND fingerprint = $3::bytea THEN 'free'
            ELSE 'unknown'
        END AS what,
        ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000)::bigint AS left_ms
    FROM {table} WHERE name = $1::bytea
), fresh AS (
    INSERT INTO {table} (name, state, owner, fence, attempt, fingerprint, lease_until, expires_at)
    SELECT $1, 'P', $2, 1, 1, $3,
        clock_timestamp() + $4::bigint * interval '1 ms',
        clock_timestamp() + ($4 + $5::bigint) * interval '1 ms'
    WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT (name) DO NOTHING
    RETURNING fence, attempt
), free AS (
    -- Locked against the guard of the owner that lapsed: it has the key until its transaction ends.
    SELECT name, expires_at <= clock_timestamp() AS expired
    FROM {table}
    WHERE name = $1 AND (SELECT what IN ('expired', 'free') FROM found) AND (
        expires_at <= clock_timestamp()
        OR $6 AND fingerprint = $3 AND (state = 'A' OR state = 'P' AND lease_until <= clock_timestamp())
    )
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE {table} AS kept
    SET state = 'P', owner = $2, fingerprint = $3, record = NULL,
        fence = CASE WHEN free.expired THEN 1 ELSE kept.fence + 1 END,
        attempt = CASE WHEN free.expired THEN 1 ELSE kept.attempt + 1 END,
        lease_until = clock_timestamp() + $4 * interval '1 ms',
        expires_at = clock_timestamp() + ($4 + $5) * interval '1 ms'
    FROM free WHERE kept.name = free.name
    RETURNING kept.name, kept.fence, kept.attempt
), effect AS (
    -- Not read but written: so an effect is seen that was committed after this statement began.
    INSERT INTO {effects} AS known (name, committed) SELECT name, false FROM taken
    ON CONFLICT (name) DO UPDATE SET committed = known.committed AND (SELECT fence > 1 FROM taken)
    RETURNING committed
)
SELECT 'acquired' AS what, fence, attempt::bigint, 0::bigint AS left_ms, false AS committed, NULL::bytea AS bytes
FROM fresh
UNION ALL
SELECT 'acquired', fence, attempt, 0, committed, NULL FROM taken, effect
UNION ALL
SELECT what, fence, attempt, left_ms,
    what IN ('acquired', 'unknown') AND EXISTS (SELECT FROM {effects} WHERE name = $1 AND committed),
    CASE what WHEN 'completed' THEN record ELSE fingerprint END
FROM found WHERE NOT EXISTS (SELECT FROM taken)
