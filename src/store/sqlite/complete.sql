INSERT INTO tower_idempotency
  (name, state, owner, fence, attempt, fingerprint, deadline, lease, expires, record)
VALUES (?1, 2, ?2, 1, 1, x'', 0, 0, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET
  state = 2, owner = excluded.owner, expires = excluded.expires, record = excluded.record
