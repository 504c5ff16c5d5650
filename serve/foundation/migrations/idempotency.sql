-- Answers to writes with an Idempotency-Key, kept until they expire. A row is written in the transaction of its effect.
CREATE TABLE idempotency_keys (
    caller text NOT NULL,
    key text NOT NULL,
    route text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    -- The key with which the body is sealed, where it holds a secret.
    sealed_by text,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
-- grants
GRANT SELECT, INSERT, DELETE ON idempotency_keys TO :serving_role;
