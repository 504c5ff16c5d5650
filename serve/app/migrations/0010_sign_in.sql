-- Where a person worked last, and so where the next session begins.
ALTER TABLE people ADD COLUMN last_organization_id uuid REFERENCES organizations ON DELETE SET NULL;
CREATE INDEX people_by_last_organization ON people (last_organization_id) WHERE last_organization_id IS NOT NULL;

-- The last organization, if the person is still a member; otherwise the one that the person has belonged to for longest.
CREATE FUNCTION organization_to_enter(person uuid) RETURNS uuid
    LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT o.id
        FROM public.people p
        JOIN public.memberships m ON m.person_id = p.id
        JOIN public.organizations o ON o.id = m.organization_id
        WHERE p.id = person AND o.deleted_at IS NULL
        ORDER BY (o.id = p.last_organization_id) DESC NULLS LAST, m.created_at, o.id
        LIMIT 1
    $$;

-- Remembers the organization for the next session; nothing if the person is no member. Says what the person is there.
CREATE FUNCTION person_enters(person uuid, wanted uuid) RETURNS TABLE (name text, role text)
    LANGUAGE sql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        UPDATE public.people p SET last_organization_id = wanted
        FROM public.memberships m JOIN public.organizations o ON o.id = m.organization_id
        WHERE p.id = person AND m.person_id = person AND m.organization_id = wanted AND o.deleted_at IS NULL
        RETURNING o.name, m.role
    $$;

REVOKE ALL ON FUNCTION organization_to_enter(uuid), person_enters(uuid, uuid) FROM PUBLIC;

-- grants
GRANT EXECUTE ON FUNCTION organization_to_enter(uuid), person_enters(uuid, uuid) TO :serving_role;
