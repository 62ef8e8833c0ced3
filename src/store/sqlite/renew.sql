UPDATE tower_idempotency SET deadline = ?3, lease = ?4, expires = ?5
WHERE name = ?1 AND owner = ?2 AND state = 0 AND expires > ?6
