-- Keeps the record in the handler's own transaction, and wakes who waits when that commits. In
-- another transaction, or over another's record, the name is null: an error, so that nothing of
-- this transaction can commit.
-- $1 name, $2 owner, $3 record, $4 ttl in ms, $5 the owner as the transaction's mark,
-- $6 the waiters' lock, $7 channel, $8 message
INSERT INTO {table} AS kept
    (name, state, owner, fence, attempt, fingerprint, lease_until, expires_at, record)
VALUES (
    CASE WHEN current_setting('tower_idempotency.owner', true) = $5::text THEN $1::bytea END,
    'C', $2::bytea, 1, 1, '', clock_timestamp(),
    clock_timestamp() + $4::bigint * interval '1 ms', $3::bytea
)
ON CONFLICT (name) DO UPDATE
SET name = CASE WHEN kept.state <> 'C' OR kept.expires_at <= clock_timestamp() THEN kept.name END,
    state = 'C', owner = excluded.owner, record = excluded.record, expires_at = excluded.expires_at
RETURNING
    CASE WHEN NOT pg_try_advisory_xact_lock($6::bigint) THEN pg_notify($7::text, $8::text)::text END
