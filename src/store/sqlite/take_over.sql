UPDATE tower_idempotency SET
  state = 0, owner = ?2, fence = ?3, attempt = ?4, deadline = ?5, lease = ?6, expires = ?7
WHERE name = ?1
