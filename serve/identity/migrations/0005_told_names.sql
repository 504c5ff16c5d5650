-- The name that a login provider says once, of somebody who has no account yet: so that it is not lost where the person is
-- still to say whether there is one. It goes with the account's beginning, and otherwise after a while.
CREATE TABLE told_names (
    provider text NOT NULL CHECK (length(provider) <= 64),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    given_name text CHECK (length(given_name) <= 200),
    family_name text CHECK (length(family_name) <= 200),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (provider, subject)
);
CREATE INDEX told_names_by_end ON told_names (expires_at);

-- grants
GRANT SELECT, INSERT, UPDATE, DELETE ON told_names TO :serving_role;
