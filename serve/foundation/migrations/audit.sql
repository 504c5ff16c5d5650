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
CREATE INDEX audit_events_by_time ON audit_events (organization_id, occurred_at, id);
CREATE INDEX audit_events_by_actor ON audit_events (organization_id, actor_id, occurred_at, id);
CREATE INDEX audit_events_by_token ON audit_events (organization_id, token_id, occurred_at, id)
    WHERE token_id IS NOT NULL;
CREATE INDEX audit_events_by_action ON audit_events (organization_id, action, occurred_at, id);
CREATE INDEX audit_events_by_resource ON audit_events (organization_id, resource_id, occurred_at, id);
CREATE INDEX audit_events_by_request ON audit_events (organization_id, request_id);
CREATE INDEX audit_events_not_well ON audit_events (organization_id, result, occurred_at, id)
    WHERE result <> 'success';
CREATE INDEX audit_events_by_position ON audit_events (organization_id, position, id);
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_events_tenant ON audit_events
    USING (organization_id = coalesce(nullif(current_setting('app.organization', true), '')::uuid,
                                      '00000000-0000-0000-0000-000000000000'));

-- The chain of an organization: each batch's hash covers its events and the hash of the batch before.
CREATE TABLE audit_batches (
    organization_id uuid NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    -- How events and batches are hashed.
    version smallint NOT NULL,
    -- The last transaction in it; it holds every one after that of the batch before.
    last_position xid8 NOT NULL,
    events bigint NOT NULL CHECK (events > 0),
    root bytea NOT NULL CHECK (length(root) = 32),
    previous bytea NOT NULL CHECK (length(previous) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    sealed_at timestamptz NOT NULL,
    -- Two sealers cannot both continue the chain at the same place.
    PRIMARY KEY (organization_id, number)
);
ALTER TABLE audit_batches ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_batches_tenant ON audit_batches
    USING (organization_id = coalesce(nullif(current_setting('app.organization', true), '')::uuid,
                                      '00000000-0000-0000-0000-000000000000'));

-- Which organizations, from this one on, have events to seal. With its owner's rights, because the serving role sees one
-- organization at a time; it tells identifiers and nothing else. It goes from one organization to the next by the index.
CREATE FUNCTION audit_unsealed(start uuid, most integer) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH RECURSIVE found (organization) AS (
        (SELECT organization_id FROM audit_events WHERE organization_id >= start ORDER BY organization_id LIMIT 1)
        UNION ALL
        SELECT (SELECT organization_id FROM audit_events WHERE organization_id > before.organization
                ORDER BY organization_id LIMIT 1)
        FROM found AS before WHERE before.organization IS NOT NULL)
    SELECT organization FROM found WHERE organization IS NOT NULL AND EXISTS (
        SELECT FROM audit_events WHERE organization_id = organization
            AND position < pg_snapshot_xmin(pg_current_snapshot())
            AND position > coalesce((SELECT last_position FROM audit_batches WHERE organization_id = organization
                                     ORDER BY number DESC LIMIT 1), '0'))
    LIMIT most
$$;
REVOKE EXECUTE ON FUNCTION audit_unsealed FROM PUBLIC;
-- grants
GRANT SELECT ON audit_events TO :serving_role;
-- Not `position`: who could choose it could write into a sealed batch.
GRANT INSERT (id, organization_id, occurred_at, actor_kind, actor_id, token_id, address, user_agent, request_id, action,
              resource_kind, resource_id, result, changes) ON audit_events TO :serving_role;
GRANT SELECT, INSERT ON audit_batches TO :serving_role;
GRANT EXECUTE ON FUNCTION audit_unsealed TO :serving_role;
