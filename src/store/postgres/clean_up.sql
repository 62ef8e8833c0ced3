-- Deletes what expired, up to $1 names, and leaves what others are deleting to them.
WITH old AS (
    SELECT name FROM {table} WHERE expires_at <= now() ORDER BY expires_at LIMIT $1::bigint
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {table} AS kept USING old WHERE kept.name = old.name RETURNING kept.name
), forgotten AS (
    DELETE FROM {effects} AS known USING gone WHERE known.name = gone.name
)
SELECT count(*) FROM gone
