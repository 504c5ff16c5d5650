-- People: whoever has signed in. Nobody sees a row but by the functions below, until a policy says more.
CREATE TABLE people (
    id uuid PRIMARY KEY,
    -- The issuer's name of the person.
    subject text NOT NULL UNIQUE,
    email text,
    name text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- The owner of the tables is not bound by the policies: the functions run as it. The serving role is.
ALTER TABLE people ENABLE ROW LEVEL SECURITY;

-- The person with this subject, made or brought up to date: what the issuer says counts.
CREATE FUNCTION person_signs_in(wanted uuid, issued_subject text, issued_email text, issued_name text, at timestamptz)
    RETURNS uuid
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        INSERT INTO public.people AS known (id, subject, email, name, created_at, updated_at)
        VALUES (wanted, issued_subject, issued_email, coalesce(issued_name, ''), at, at)
        ON CONFLICT (subject) DO UPDATE SET email = coalesce(excluded.email, known.email),
            name = CASE WHEN excluded.name = '' THEN known.name ELSE excluded.name END, updated_at = at
        RETURNING id
    $$;

-- One person's own row.
CREATE FUNCTION person_by_id(wanted uuid) RETURNS TABLE (id uuid, email text, name text)
    LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT p.id, p.email, p.name FROM public.people p WHERE p.id = wanted $$;

REVOKE ALL ON FUNCTION person_signs_in(uuid, text, text, text, timestamptz), person_by_id(uuid) FROM PUBLIC;

-- grants
GRANT SELECT ON people TO :serving_role;
GRANT EXECUTE ON FUNCTION person_signs_in(uuid, text, text, text, timestamptz), person_by_id(uuid) TO :serving_role;
