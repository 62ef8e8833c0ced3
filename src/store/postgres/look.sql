-- Tells what stands in the way of a claim, as nearly all claims that find something need no more:
-- a fraction of the work of claim.sql.
-- $1 name, $2 owner
SELECT
    CASE state WHEN 'C' THEN 'completed' ELSE 'held' END,
    fence, attempt::bigint,
    ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000)::bigint,
    false,
    CASE state WHEN 'C' THEN record ELSE fingerprint END
FROM {table}
WHERE name = $1::bytea AND expires_at > clock_timestamp()
    AND (state = 'C' OR state = 'P' AND owner <> $2::bytea AND lease_until > clock_timestamp())
