-- Ends a claim under which nothing was done. Fence and attempt go on counting where there were
-- others before, and so does what is known of an effect.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
-- A guard's transaction has the key until it has committed its effect, or not. What comes after
-- this sees which.
SELECT FROM {table} WHERE name = {name} AND owner = {owner} FOR UPDATE;
WITH mine AS MATERIALIZED (
    -- Locked here too: it may have been claimed after it was looked for above, and be abandoned or
    -- another's by now.
    SELECT name,
        fence > 1 OR EXISTS (SELECT FROM {effects} WHERE name = {name} AND committed) AS stays
    FROM {table}
    WHERE name = {name} AND owner = {owner} AND state = 'P' AND expires_at > clock_timestamp()
    FOR UPDATE
), gone AS (
    DELETE FROM {table} AS kept USING mine WHERE kept.name = mine.name AND NOT stays
    RETURNING kept.name
), forgotten AS (
    DELETE FROM {effects} AS known USING gone WHERE known.name = gone.name
), abandoned AS (
    UPDATE {table} AS kept SET state = 'A' FROM mine WHERE kept.name = mine.name AND stays
)
SELECT CASE WHEN NOT pg_try_advisory_xact_lock({lock}) THEN pg_notify({channel}, {message})::text END
FROM mine
