-- API tokens of agents. Of the secret only the SHA-256 is here.
CREATE TABLE tokens (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    hint text NOT NULL,
    scopes text[] NOT NULL,
    resources uuid[],
    addresses text[],
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL,
    -- The token that minted this one: revoking it revokes what came of it.
    parent_id uuid REFERENCES tokens (id) ON DELETE SET NULL,
    successor_id uuid REFERENCES tokens (id) ON DELETE SET NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX tokens_of_organization ON tokens (organization_id, created_at, id);
CREATE INDEX tokens_of_parent ON tokens (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX tokens_of_successor ON tokens (successor_id) WHERE successor_id IS NOT NULL;

ALTER TABLE tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tokens_of_the_organization ON tokens
    USING (organization_id = NULLIF(current_setting('app.organization', true), '')::uuid)
    WITH CHECK (organization_id = NULLIF(current_setting('app.organization', true), '')::uuid);
-- For the two functions below, which run as the owner: whose token it is is not known before it was found.
CREATE POLICY tokens_found_by_the_owner ON tokens FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY tokens_used_by_the_owner ON tokens FOR UPDATE TO CURRENT_USER USING (true);

-- From where each token was used before: a place that is new is told in the audit log.
CREATE TABLE token_places (
    organization_id uuid NOT NULL,
    token_id uuid NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    place text NOT NULL,
    first_used_at timestamptz NOT NULL,
    PRIMARY KEY (token_id, place)
);
ALTER TABLE token_places ENABLE ROW LEVEL SECURITY;
CREATE POLICY token_places_of_the_organization ON token_places
    USING (organization_id = NULLIF(current_setting('app.organization', true), '')::uuid);

-- Whether tokens of this organization are good for anything now. An application whose organizations can be deleted puts
-- its own answer in this one's place.
CREATE FUNCTION organization_is_active(wanted uuid) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT true $$;

CREATE FUNCTION authenticate_token(presented bytea)
    RETURNS TABLE (
        id uuid, organization_id uuid, agent_id uuid, scopes text[], resources uuid[], addresses text[],
        expires_at timestamptz, revoked boolean
    )
    LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT t.id, t.organization_id, t.agent_id, t.scopes, t.resources, t.addresses, t.expires_at,
               t.revoked_at IS NOT NULL OR NOT public.organization_is_active(t.organization_id)
        FROM public.tokens t WHERE t.hash = presented
    $$;

CREATE FUNCTION note_tokens_used(used uuid[], at timestamptz)
    RETURNS void
    LANGUAGE sql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        UPDATE public.tokens t SET last_used_at = at
        WHERE t.id = ANY (used) AND (t.last_used_at IS NULL OR t.last_used_at < at - interval '1 minute')
    $$;

REVOKE ALL ON FUNCTION organization_is_active(uuid), authenticate_token(bytea), note_tokens_used(uuid[], timestamptz) FROM PUBLIC;

-- grants
GRANT SELECT, INSERT, DELETE ON tokens TO :serving_role;
GRANT SELECT, INSERT ON token_places TO :serving_role;
GRANT UPDATE (expires_at, revoked_at, successor_id) ON tokens TO :serving_role;
GRANT EXECUTE ON FUNCTION organization_is_active(uuid) TO :serving_role;
GRANT EXECUTE ON FUNCTION authenticate_token(bytea), note_tokens_used(uuid[], timestamptz) TO :serving_role;
