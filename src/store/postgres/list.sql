-- Tells an operator what is kept, in the order of names: some of it.
-- $1 the last name that was told, $2 how many
SELECT
    kept.name,
    CASE
        WHEN expires_at <= clock_timestamp() THEN 'expired'
        WHEN state = 'P' AND lease_until > clock_timestamp() THEN 'in-flight'
        WHEN state = 'P' THEN 'lapsed'
        WHEN state = 'A' THEN 'abandoned'
        WHEN state = 'C' THEN 'completed'
        ELSE 'unreadable'
    END,
    fence, attempt::bigint, fingerprint,
    greatest(ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000), 0)::bigint,
    greatest(ceil(extract(epoch FROM expires_at - clock_timestamp()) * 1000), 0)::bigint,
    coalesce(octet_length(record), 0)::bigint,
    EXISTS (SELECT FROM {effects} AS known WHERE known.name = kept.name AND committed)
FROM {table} AS kept WHERE kept.name > $1::bytea AND octet_length(kept.name) = 32
ORDER BY kept.name LIMIT $2::bigint
