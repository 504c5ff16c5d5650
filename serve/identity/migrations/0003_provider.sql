-- Keys with which the issuer signs. The private half is sealed with a key that is not in the database.
CREATE TABLE signing_keys (
    id text PRIMARY KEY,
    algorithm text NOT NULL CHECK (algorithm IN ('ES256', 'RS256')),
    key_id text NOT NULL,
    sealed bytea NOT NULL,
    -- The public half, as the key set shows it.
    published jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    -- Published before, so that everybody knows it by then.
    signs_from timestamptz NOT NULL,
    -- Published until then, for what it signed.
    published_until timestamptz
);
CREATE INDEX signing_keys_by_time ON signing_keys (algorithm, signs_from);

-- One sign-in of a person at a client, with everything that was handed out on it. It ends as a whole.
CREATE TABLE grants (
    id uuid PRIMARY KEY,
    client_id text NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    -- It ends with the session, unless the client may act while the person is away.
    session_id uuid REFERENCES browser_sessions ON DELETE SET NULL,
    scope text NOT NULL,
    authenticated_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    -- Why: `revoked`, `replayed`, `signed-out`, `expired`.
    ended_because text,
    CHECK ((ended_at IS NULL) = (ended_because IS NULL))
);
CREATE INDEX grants_by_account ON grants (account_id, client_id, created_at);
CREATE INDEX grants_by_session ON grants (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX grants_without_session ON grants (created_at) WHERE session_id IS NULL;
CREATE INDEX grants_ended ON grants (ended_at) WHERE ended_at IS NOT NULL;

-- Authorization codes. Kept a while after their use: the second use ends the grant.
CREATE TABLE codes (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    grant_id uuid NOT NULL REFERENCES grants ON DELETE CASCADE,
    redirect_uri text NOT NULL,
    nonce text,
    challenge text,
    -- Claims that the request named, beside those of the scope.
    claims jsonb,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX codes_by_grant ON codes (grant_id);
CREATE INDEX codes_by_end ON codes (expires_at);

-- Access and refresh tokens, by the SHA-256 of each.
CREATE TABLE issued_tokens (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    grant_id uuid NOT NULL REFERENCES grants ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('access', 'refresh')),
    scope text NOT NULL,
    claims jsonb,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- A refresh token that was used: whoever uses it again ends the grant.
    used_at timestamptz
);
CREATE INDEX issued_tokens_by_grant ON issued_tokens (grant_id);
CREATE INDEX issued_tokens_by_end ON issued_tokens (expires_at);

-- Names of assertions that were used (RFC 7523, section 3): none counts twice.
CREATE TABLE used_assertions (
    issuer text NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, hash)
);
CREATE INDEX used_assertions_by_end ON used_assertions (expires_at);

-- grants
GRANT SELECT, INSERT, UPDATE, DELETE ON signing_keys, grants, codes, issued_tokens, used_assertions TO :serving_role;
