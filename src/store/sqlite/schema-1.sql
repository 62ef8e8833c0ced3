-- Times are in milliseconds since 1970; a lease is in milliseconds.
CREATE TABLE tower_idempotency (
  id INTEGER PRIMARY KEY,
  name BLOB NOT NULL UNIQUE,
  state INTEGER NOT NULL, -- 0 in flight, 1 abandoned, 2 completed
  owner BLOB NOT NULL,
  fence INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  fingerprint BLOB NOT NULL,
  deadline INTEGER NOT NULL,
  lease INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  effect_committed INTEGER NOT NULL DEFAULT 0,
  record BLOB
) STRICT;

CREATE INDEX tower_idempotency_expires ON tower_idempotency (expires);
