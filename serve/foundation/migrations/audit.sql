-- What people and agents did: append-only for the serving role, sealed in batches that form a chain.
CREATE TABLE audit_events (
    id uuid PRIMARY KEY,
    -- The nil UUID stands for what concerns no organization, such as a refused sign-in.
    organization_id uuid NOT NULL,
    -- The transaction that wrote it. A batch holds whole transactions, so that no event can join a sealed one.
    position xid8 NOT NULL DEFAULT pg_current_xact_id(),
    occurred_at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    token_id uuid,
    address text,
    user_agent text,
    request_id text NOT NULL,
    action text NOT NULL,
    resource_kind text NOT NULL,
    resource_id text,
    result text NOT NULL CHECK (result IN ('success', 'denied', 'failed')),
    changes jsonb NOT NULL
);
CREATE INDEX audit_events_by_time ON audit_events (organization_id, id);
CREATE INDEX audit_events_by_position ON audit_events (organization_id, position);
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_events_tenant ON audit_events
    USING (organization_id = coalesce(nullif(current_setting('app.organization', true), '')::uuid,
                                      '00000000-0000-0000-0000-000000000000'));
-- grants
GRANT SELECT, INSERT ON audit_events TO :serving_role;
