DELETE FROM tower_idempotency
WHERE id IN (SELECT id FROM tower_idempotency WHERE expires <= ?1 LIMIT ?2)
