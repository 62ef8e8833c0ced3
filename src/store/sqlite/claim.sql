INSERT INTO tower_idempotency
  (name, state, owner, fence, attempt, fingerprint, deadline, lease, expires)
VALUES (?1, 0, ?2, 1, 1, ?3, ?4, ?5, ?6)
-- What has expired is still there until it is swept.
ON CONFLICT (name) DO UPDATE SET
  state = 0, owner = excluded.owner, fence = 1, attempt = 1, fingerprint = excluded.fingerprint,
  deadline = excluded.deadline, lease = excluded.lease, expires = excluded.expires,
  effect_committed = 0, record = NULL
