SELECT name, state, fence, attempt, fingerprint, deadline, lease, expires, effect_committed,
  coalesce(length(record), 0)
FROM tower_idempotency
WHERE name = ?1
