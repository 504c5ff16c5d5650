-- Whom the issuer knows. An address never identifies anybody: identities do.
CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    -- As first seen, and changed by rule.
    email text CHECK (length(email) <= 254),
    -- Whether a provider vouched for it when it was taken over.
    email_vouched boolean NOT NULL DEFAULT false,
    given_name text CHECK (length(given_name) <= 200),
    family_name text CHECK (length(family_name) <= 200),
    picture text CHECK (length(picture) <= 2000),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (email IS NOT NULL OR NOT email_vouched)
);
CREATE INDEX accounts_by_email ON accounts (lower(email)) WHERE email IS NOT NULL;

-- A person at a login provider.
CREATE TABLE identities (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    provider text NOT NULL CHECK (length(provider) <= 64),
    -- What the provider calls the person, and never changes. Microsoft's is tenant and object.
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    email text CHECK (length(email) <= 254),
    email_vouched boolean NOT NULL DEFAULT false,
    -- The address is a relay that the provider made for this site, and nobody's own.
    email_relay boolean NOT NULL DEFAULT false,
    given_name text CHECK (length(given_name) <= 200),
    family_name text CHECK (length(family_name) <= 200),
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    UNIQUE (provider, subject)
);
CREATE INDEX identities_by_account ON identities (account_id, created_at, id);

-- The login provider's own tokens, sealed with a key that is not in the database.
CREATE TABLE upstream_grants (
    identity_id uuid PRIMARY KEY REFERENCES identities ON DELETE CASCADE,
    scope text NOT NULL,
    key_id text NOT NULL,
    -- Access and refresh token, sealed together for this identity.
    sealed bytea NOT NULL,
    expires_at timestamptz,
    updated_at timestamptz NOT NULL
);

-- Browsers in which somebody is signed in at the issuer.
CREATE TABLE browser_sessions (
    -- What ID tokens call `sid`; it is no secret.
    id uuid PRIMARY KEY,
    -- SHA-256 of the cookie's value.
    secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    -- With which provider; `recovery` where an operator's link let somebody in.
    provider text NOT NULL,
    authenticated_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    address text NOT NULL,
    user_agent text
);
CREATE INDEX browser_sessions_by_account ON browser_sessions (account_id, authenticated_at, id);
CREATE INDEX browser_sessions_by_end ON browser_sessions (expires_at);

-- An operator's way in for somebody whose providers are all down: one link, once.
CREATE TABLE recoveries (
    secret_hash bytea PRIMARY KEY CHECK (length(secret_hash) = 32),
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX recoveries_by_end ON recoveries (expires_at);

-- What is still to be done outside: mail, and telling clients that a session has ended. Tried until it is done or too old.
CREATE TABLE errands (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    request_id text,
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    last_error text
);
CREATE INDEX errands_by_time ON errands (due_at);

-- grants
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, identities, upstream_grants, browser_sessions, recoveries, errands
    TO :serving_role;
