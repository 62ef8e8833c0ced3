-- Tells an operator what is kept. What follows says which of it.
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
FROM {table} AS kept
