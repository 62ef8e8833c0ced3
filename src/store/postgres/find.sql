-- Tells what is kept under the name.
-- $1 name, $2 fingerprint, $3 whether the unknown may run again
SELECT
    CASE
        WHEN state = 'C' THEN 'completed'
        WHEN state = 'P' AND lease_until > clock_timestamp() THEN 'held'
        WHEN $3::boolean AND fingerprint = $2::bytea THEN 'acquired'
        ELSE 'unknown'
    END,
    fence + 1, attempt::bigint + 1,
    ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000)::bigint,
    EXISTS (SELECT FROM {effects} WHERE name = $1::bytea AND committed),
    CASE state WHEN 'C' THEN record ELSE fingerprint END
FROM {table} WHERE name = $1 AND expires_at > clock_timestamp()
