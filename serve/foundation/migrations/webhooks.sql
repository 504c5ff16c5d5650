-- Webhooks of organizations: where to, what was said, and how it went. A row is seen by its organization alone.
CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    url text NOT NULL,
    description text NOT NULL DEFAULT '',
    -- Types of events; none means all.
    events text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_reason text
);
CREATE INDEX webhook_endpoints_of ON webhook_endpoints (organization_id);

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

CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    message_id uuid NOT NULL REFERENCES webhook_messages ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (message_id, endpoint_id)
);
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (endpoint_id, id);

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
END $$;

-- grants
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints, webhook_secrets TO :serving_role;
GRANT SELECT, INSERT, UPDATE ON webhook_deliveries TO :serving_role;
GRANT SELECT, INSERT ON webhook_messages, webhook_attempts TO :serving_role;
