-- Organizations, their members, and those who are invited. A row is seen by its organization alone.
CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- Deleted for everybody but its owner, who can restore it; removed for good some time after.
    deleted_at timestamptz
);

CREATE TABLE memberships (
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, person_id)
);
CREATE INDEX memberships_of_person ON memberships (person_id);
CREATE INDEX memberships_by_time ON memberships (organization_id, created_at, person_id);

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    email text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    -- The SHA-256 of what the link carries.
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    accepted_by uuid,
    revoked_at timestamptz
);
CREATE INDEX invitations_by_time ON invitations (organization_id, created_at, id);

-- The owner of the tables is not bound by the policies: the functions below run as it. The serving role is.
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
CREATE POLICY organizations_of_the_organization ON organizations
    USING (id = nullif(current_setting('app.organization', true), '')::uuid);
ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
CREATE POLICY memberships_of_the_organization ON memberships
    USING (organization_id = nullif(current_setting('app.organization', true), '')::uuid);
ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
CREATE POLICY invitations_of_the_organization ON invitations
    USING (organization_id = nullif(current_setting('app.organization', true), '')::uuid);
-- Whose memberships can be seen: the policy of memberships holds within this one.
CREATE POLICY people_of_the_organization ON people
    USING (EXISTS (SELECT FROM memberships WHERE memberships.person_id = people.id));

-- The organizations that a person belongs to.
CREATE FUNCTION organizations_of(person uuid)
    RETURNS TABLE (id uuid, name text, role text, created_at timestamptz, updated_at timestamptz,
                   deleted_at timestamptz, version bigint)
    LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT o.id, o.name, m.role, o.created_at, o.updated_at, o.deleted_at, o.version
        FROM public.memberships m JOIN public.organizations o ON o.id = m.organization_id
        WHERE m.person_id = person AND (o.deleted_at IS NULL OR m.role = 'owner')
    $$;

-- Who has the link may see what it invites to.
CREATE FUNCTION invitation_by_hash(presented bytea)
    RETURNS TABLE (id uuid, organization_id uuid, organization_name text, email text, role text,
                   expires_at timestamptz, accepted_at timestamptz, revoked_at timestamptz)
    LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT i.id, i.organization_id, o.name, i.email, i.role, i.expires_at, i.accepted_at, i.revoked_at
        FROM public.invitations i JOIN public.organizations o ON o.id = i.organization_id
        WHERE i.hash = presented AND o.deleted_at IS NULL
    $$;

REVOKE ALL ON FUNCTION organizations_of(uuid), invitation_by_hash(bytea) FROM PUBLIC;

-- grants
GRANT SELECT, INSERT ON organizations TO :serving_role;
GRANT UPDATE (name, version, updated_at, deleted_at) ON organizations TO :serving_role;
GRANT SELECT, INSERT, DELETE ON memberships TO :serving_role;
GRANT UPDATE (role, version, updated_at) ON memberships TO :serving_role;
GRANT SELECT, INSERT ON invitations TO :serving_role;
GRANT UPDATE (accepted_at, accepted_by, revoked_at) ON invitations TO :serving_role;
GRANT EXECUTE ON FUNCTION organizations_of(uuid), invitation_by_hash(bytea) TO :serving_role;
