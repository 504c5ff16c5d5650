-- Agents: programs that act for an organization, each with tokens of its own.
CREATE TABLE agents (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    description text NOT NULL DEFAULT '',
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (organization_id, id)
);
CREATE INDEX agents_by_time ON agents (organization_id, created_at, id);
ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
CREATE POLICY agents_of_the_organization ON agents
    USING (organization_id = nullif(current_setting('app.organization', true), '')::uuid);

-- An agent's tokens end with it.
ALTER TABLE tokens ADD FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id)
    ON DELETE CASCADE;

-- grants
GRANT SELECT, INSERT, DELETE ON agents TO :serving_role;
GRANT UPDATE (name, description, version, updated_at) ON agents TO :serving_role;
