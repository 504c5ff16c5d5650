-- Work to do after a commit: the outbox and the truth about every job. The queue on Valkey is fed from it.
CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    queue text NOT NULL,
    kind text NOT NULL,
    organization_id uuid,
    payload jsonb NOT NULL,
    -- At most one unfinished job of a kind has it.
    unique_key text,
    -- Not to be run before.
    run_at timestamptz NOT NULL,
    -- When it is to be put into the queue (again); null once it is finished or dead.
    feed_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    -- Who works on it, and until when that is believed.
    lease uuid,
    lease_until timestamptz,
    request_id text,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    dead_at timestamptz,
    last_error text
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX jobs_to_feed ON jobs (queue, kind, feed_at) WHERE feed_at IS NOT NULL;
CREATE UNIQUE INDEX jobs_unfinished_key ON jobs (kind, unique_key) WHERE feed_at IS NOT NULL;
CREATE INDEX jobs_dead ON jobs (dead_at, id) WHERE dead_at IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- An organization's transaction sees its own jobs and writes no others. Workers act for none, and see all.
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY jobs_of_the_organization ON jobs
    USING (nullif(current_setting('app.organization', true), '') IS NULL
           OR organization_id = nullif(current_setting('app.organization', true), '')::uuid);

-- The last moment at which each schedule made its job: the first process to move it on makes the next one.
CREATE TABLE schedules (
    name text PRIMARY KEY,
    last_slot timestamptz NOT NULL
);

-- grants
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO :serving_role;
GRANT SELECT, INSERT, UPDATE ON schedules TO :serving_role;
