-- Projects and their tasks: the worked example of a product's own resources.
CREATE TABLE projects (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 10000),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL,
    updated_at timestamptz NOT NULL,
    -- Can be restored for a while.
    deleted_at timestamptz,
    UNIQUE (organization_id, id)
);
CREATE INDEX projects_by_time ON projects (organization_id, created_at, id);
CREATE INDEX projects_deleted ON projects (deleted_at) WHERE deleted_at IS NOT NULL;
ALTER TABLE projects ENABLE ROW LEVEL SECURITY;
CREATE POLICY projects_of_the_organization ON projects
    USING (organization_id = nullif(current_setting('app.organization', true), '')::uuid);

CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    project_id uuid NOT NULL,
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 10000),
    state text NOT NULL CHECK (state IN ('open', 'started', 'done')),
    due_on date,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    -- A task is in a project of its own organization.
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX tasks_by_time ON tasks (organization_id, created_at, id);
CREATE INDEX tasks_of_project ON tasks (organization_id, project_id, created_at, id);
CREATE INDEX tasks_deleted ON tasks (deleted_at) WHERE deleted_at IS NOT NULL;
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY tasks_of_the_organization ON tasks
    USING (organization_id = nullif(current_setting('app.organization', true), '')::uuid);

-- grants
GRANT SELECT, INSERT ON projects, tasks TO :serving_role;
GRANT UPDATE (name, description, version, updated_at, deleted_at) ON projects TO :serving_role;
GRANT UPDATE (project_id, title, description, state, due_on, version, updated_at, deleted_at) ON tasks TO :serving_role;
