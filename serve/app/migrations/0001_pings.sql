-- One row a ping: the proof that a write passes PgBouncer and reaches PostgreSQL.
CREATE TABLE pings (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- grants
GRANT SELECT, INSERT ON pings TO :serving_role;
