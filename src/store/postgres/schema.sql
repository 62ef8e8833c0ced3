-- The tables of the PostgreSQL store, as `PostgresStore::migrate` makes them. To make them in
-- migrations of your own, put your names in place of {table}, {effects} and {index}: by default
-- "public"."idempotency", "public"."idempotency_effects" and "idempotency_expires_at".
-- Running this again changes nothing.

CREATE TABLE IF NOT EXISTS {table} (
    name        bytea       PRIMARY KEY, -- a digest of 32 bytes
    state       "char"      NOT NULL,    -- P in flight, A abandoned, C completed
    owner       bytea       NOT NULL,    -- 16 bytes
    fence       bigint      NOT NULL,
    attempt     integer     NOT NULL,
    fingerprint bytea       NOT NULL,
    lease_until timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    record      bytea
) WITH (fillfactor = 70);

CREATE INDEX IF NOT EXISTS {index} ON {table} (expires_at);

-- Whether an attempt committed its effect under its guard. Not a column of the table above: a
-- guard must keep others from taking the key over until it commits, but not its own renewals.
CREATE TABLE IF NOT EXISTS {effects} (
    name      bytea   PRIMARY KEY,
    committed boolean NOT NULL
);
