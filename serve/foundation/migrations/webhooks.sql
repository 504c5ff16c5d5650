-- Webhooks of organizations: where to, what was said, and how it went. A row is seen by its organization alone.
CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    url text NOT NULL,
    description text NOT NULL DEFAULT '',
    -- Types of events; none means all.
    events text[] NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL,
    updated_at timestamptz NOT NULL,
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_reason text CHECK (disabled_reason IN ('gone', 'failing', 'requested')),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
CREATE INDEX webhook_endpoints_by_time ON webhook_endpoints (organization_id, created_at, id);

CREATE TABLE webhook_secrets (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    key_id text NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Signs until then; the current one has none.
    expires_at timestamptz
);
CREATE INDEX webhook_secrets_of ON webhook_secrets (endpoint_id);

CREATE TABLE webhook_messages (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    type text NOT NULL,
    -- The very bytes that are signed.
    payload text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_messages_by_age ON webhook_messages (created_at);

CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    message_id uuid NOT NULL REFERENCES webhook_messages ON DELETE CASCADE,
    -- Which job tries it; any other one leaves it alone.
    job_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (message_id, endpoint_id)
);
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at);

CREATE TABLE webhook_attempts (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    delivery_id uuid NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    status integer,
    milliseconds bigint NOT NULL,
    error text,
    excerpt text
);
CREATE INDEX webhook_attempts_of ON webhook_attempts (delivery_id, id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['webhook_endpoints', 'webhook_secrets', 'webhook_messages', 'webhook_deliveries',
                                'webhook_attempts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY of_organization ON %I USING '
            '(organization_id = nullif(current_setting(''app.organization'', true), '''')::uuid)', name);
    END LOOP;
    -- For the function below, which runs as the owner: what is old is old in every organization.
    FOREACH name IN ARRAY ARRAY['webhook_messages', 'webhook_deliveries'] LOOP
        EXECUTE format('CREATE POLICY swept_by_the_owner ON %I TO CURRENT_USER USING (true)', name);
    END LOOP;
END $$;

-- Removes what was said before a moment and is not being delivered any more: so many deliveries with their attempts, and
-- so many messages. Answers how many of both.
CREATE FUNCTION webhook_sweep(before timestamptz, most integer) RETURNS bigint
    LANGUAGE sql STRICT SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH deliveries AS (
        DELETE FROM webhook_deliveries WHERE id IN (
            SELECT id FROM webhook_deliveries WHERE created_at < before AND (state <> 'pending'
                OR NOT EXISTS (SELECT FROM jobs WHERE jobs.id = job_id AND feed_at IS NOT NULL))
            ORDER BY created_at LIMIT most)
        RETURNING id),
    messages AS (
        DELETE FROM webhook_messages WHERE id IN (
            SELECT id FROM webhook_messages AS message WHERE created_at < before
            AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE message_id = message.id)
            ORDER BY created_at LIMIT most)
        RETURNING id)
    SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM messages)
$$;
REVOKE EXECUTE ON FUNCTION webhook_sweep FROM PUBLIC;

-- grants
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints, webhook_secrets TO :serving_role;
GRANT SELECT, INSERT, UPDATE ON webhook_deliveries TO :serving_role;
GRANT SELECT, INSERT ON webhook_messages, webhook_attempts TO :serving_role;
GRANT EXECUTE ON FUNCTION webhook_sweep TO :serving_role;
