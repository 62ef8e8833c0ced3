UPDATE tower_idempotency SET effect_committed = 1
WHERE name = ?1 AND owner = ?2 AND fence = ?3 AND state = 0
