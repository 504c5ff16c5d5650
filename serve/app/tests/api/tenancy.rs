//! What keeps organizations apart in the database, as the role of the application meets it.

use foundation::testing::servers::Servers;
use uuid::Uuid;

use crate::stage::Stage;
use crate::support::seed;

/// Every table in which organizations have rows.
pub fn tables(servers: &Servers) -> Vec<String> {
    let names = servers.sql(
        "SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
         WHERE c.table_schema = 'public' AND c.column_name = 'organization_id' AND t.table_type = 'BASE TABLE' ORDER BY 1",
        "app",
    );
    names.lines().map(str::to_owned).collect()
}

/// How many rows of the organization each of the tables has.
pub fn rows(servers: &Servers, organization: Uuid) -> Vec<(String, u64)> {
    let count = |table: &String| {
        let sql = format!("SELECT count(*) FROM {table} WHERE organization_id = '{organization}'");
        servers.sql(&sql, "app").parse().unwrap()
    };
    tables(servers).into_iter().map(|table| (table.clone(), count(&table))).collect()
}

/// Gives the organization a row in every table.
pub fn fill(servers: &Servers, organization: Uuid) {
    let [person, project, endpoint, message, delivery] = [(); 5].map(|()| seed::id());
    seed::token(servers, organization, &["tasks:read"]);
    servers.sql(
        &format!(
            "INSERT INTO people (id, subject, created_at, updated_at) VALUES ('{person}', '{person}', now(), now()); \
             INSERT INTO memberships (organization_id, person_id, role, created_at, updated_at) \
               VALUES ('{organization}', '{person}', 'viewer', now(), now()); \
             INSERT INTO invitations (id, organization_id, email, role, hash, created_at, created_by, expires_at) \
               VALUES ('{id}', '{organization}', 'a@b.test', 'viewer', sha256('{id}'), now(), '{person}', now()); \
             INSERT INTO projects (id, organization_id, name, created_at, created_by, updated_at) \
               VALUES ('{project}', '{organization}', 'Project', now(), '{person}', now()); \
             INSERT INTO tasks (id, organization_id, project_id, title, state, created_at, created_by, updated_at) \
               VALUES ('{id}', '{organization}', '{project}', 'Task', 'open', now(), '{person}', now()); \
             INSERT INTO webhook_endpoints (id, organization_id, url, created_at, created_by, updated_at) \
               VALUES ('{endpoint}', '{organization}', 'https://x.test', now(), '{person}', now()); \
             INSERT INTO webhook_secrets (id, organization_id, endpoint_id, key_id, sealed) \
               VALUES ('{id}', '{organization}', '{endpoint}', '1', sha256('{endpoint}')); \
             INSERT INTO webhook_messages (id, organization_id, type, payload) \
               VALUES ('{message}', '{organization}', 'task.created', '{{}}'); \
             INSERT INTO webhook_deliveries (id, organization_id, endpoint_id, message_id, job_id, state) \
               VALUES ('{delivery}', '{organization}', '{endpoint}', '{message}', '{delivery}', 'failed'); \
             INSERT INTO webhook_attempts (id, organization_id, delivery_id, milliseconds) \
               VALUES ('{id}', '{organization}', '{delivery}', 1); \
             INSERT INTO jobs (id, queue, kind, organization_id, payload, run_at, max_attempts, dead_at) \
               VALUES ('{id}', 'default', 'dead', '{organization}', '{{}}', now(), 1, now()); \
             INSERT INTO audit_events (id, organization_id, occurred_at, actor_kind, request_id, action, resource_kind, \
               result, changes) VALUES ('{id}', '{organization}', now(), 'system', 'r', 'a', 'k', 'success', '{{}}'); \
             INSERT INTO audit_batches (organization_id, number, version, last_position, events, root, previous, hash, \
               sealed_at) SELECT '{organization}', coalesce(max(number), 0) + 1, 1, pg_current_xact_id(), 1, sha256('a'), \
               sha256('b'), sha256('c'), now() FROM audit_batches WHERE organization_id = '{organization}'",
            id = seed::id()
        ),
        "app",
    );
    for (table, count) in rows(servers, organization) {
        assert!(count > 0, "give the organization a row in {table}");
    }
}

/// What `app` is told that tries this while it works for `organization`.
fn attempt(servers: &Servers, organization: &str, statement: &str) -> Result<String, String> {
    let enter = format!("SELECT set_config('app.organization', '{organization}', true)");
    let outcome = servers.sql_as("app", &format!("{enter}; {statement}"), "app");
    // What the first of the statements prints is of no interest.
    outcome.map(|text| text.lines().last().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_serving_role_sees_and_changes_nothing_of_others() {
    let stage = Stage::new().await;
    let servers = &stage.servers;
    let (own, other) = (stage.organization, seed::organization(servers, "other"));
    fill(servers, own);
    fill(servers, other);
    let refused = |outcome: Result<String, String>| match outcome {
        Ok(text) => text == "0",
        Err(error) => error.contains("permission denied") || error.contains("row-level security"),
    };
    for table in tables(servers) {
        let ask = |organization: &str, statement: &str| attempt(servers, organization, statement);
        let count = format!("SELECT count(*) FROM {table}");
        let own_rows: u64 = ask(&own.to_string(), &count).unwrap().parse().unwrap();
        assert!(own_rows > 0, "{table}: an organization sees its own");
        assert_eq!(
            ask(&own.to_string(), &format!("{count} WHERE organization_id <> '{own}'")).unwrap(),
            "0",
            "{table}"
        );
        // Only workers, who act for no organization, see jobs: of all of them, because they run them.
        if table != "jobs" {
            assert_eq!(ask("", &count).unwrap(), "0", "{table}: nobody's");
            assert_eq!(servers.sql_as("app", &count, "app").unwrap(), "0", "{table}: without any context");
        }
        let changing = "WITH changed AS (";
        let counted = " RETURNING 1) SELECT count(*) FROM changed";
        for statement in [
            format!(
                "{changing}UPDATE {table} SET organization_id = organization_id WHERE organization_id = '{other}'{counted}"
            ),
            format!(
                "{changing}UPDATE {table} SET organization_id = '{own}' WHERE organization_id = '{other}'{counted}"
            ),
            format!("{changing}UPDATE {table} SET organization_id = '{other}'{counted}"),
            format!("{changing}DELETE FROM {table} WHERE organization_id = '{other}'{counted}"),
            format!(
                "{changing}INSERT INTO {table} SELECT (jsonb_populate_record(mine, \
                 jsonb_build_object('organization_id', '{other}'))).* FROM {table} AS mine LIMIT 1{counted}"
            ),
            format!("TRUNCATE {table}"),
            format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"),
            format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"),
            format!("CREATE POLICY everybody ON {table} USING (true)"),
            format!("DROP TABLE {table}"),
        ] {
            let outcome = ask(&own.to_string(), &statement);
            let owned = matches!(&outcome, Err(error) if error.contains("must be owner"));
            assert!(owned || refused(outcome.clone()), "{statement}: {outcome:?}");
        }
    }
    for (table, count) in rows(servers, other) {
        assert!(count > 0, "{table} has lost the row of the other organization");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_serving_role_gets_around_it_in_no_other_way() {
    let stage = Stage::new().await;
    let servers = &stage.servers;
    let (own, other) = (stage.organization, seed::organization(servers, "other"));
    fill(servers, own);
    fill(servers, other);
    let as_app = |statement: &str| attempt(servers, &own.to_string(), statement);
    let named = |id: Uuid| format!("SELECT count(*) FROM organizations WHERE id = '{id}'");
    assert_eq!(
        (as_app(&named(own)).unwrap(), as_app(&named(other)).unwrap()),
        ("1".to_owned(), "0".to_owned())
    );
    let people = format!(
        "SELECT count(*) FROM people p JOIN memberships m ON m.person_id = p.id WHERE m.organization_id = '{other}'"
    );
    assert_eq!(as_app(&people).unwrap(), "0");
    // The people of others are not to be seen either.
    assert_eq!(as_app("SELECT count(*) FROM people").unwrap(), "1");

    for (statement, said) in [
        ("SET row_security = off; SELECT count(*) FROM tasks", "row-level security"),
        ("SET ROLE owner", "permission denied"),
        ("SET ROLE postgres", "permission denied"),
        ("SET SESSION AUTHORIZATION owner", "permission denied"),
        ("SET session_replication_role = replica", "permission denied"),
        ("ALTER ROLE app BYPASSRLS", "permission denied"),
        ("CREATE ROLE another", "permission denied"),
        ("GRANT owner TO app", "permission denied"),
        ("CREATE TABLE mine (id int)", "permission denied"),
        ("CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "permission denied"),
        ("COPY tasks TO PROGRAM 'cat'", "permission denied"),
        ("DELETE FROM audit_events", "permission denied"),
        ("UPDATE audit_events SET action = 'other'", "permission denied"),
        ("TRUNCATE audit_events", "permission denied"),
        ("DELETE FROM audit_batches", "permission denied"),
        ("UPDATE audit_batches SET events = 1", "permission denied"),
        ("DELETE FROM organizations", "permission denied"),
        ("DELETE FROM tasks", "permission denied"),
        ("DELETE FROM people", "permission denied"),
        ("SELECT note_purge('k', gen_random_uuid(), gen_random_uuid(), 'r')", "permission denied"),
        ("ALTER TABLE organizations DISABLE TRIGGER guard_deletion", "must be owner"),
        ("DROP TRIGGER guard_deletion ON organizations", "must be owner"),
        ("ALTER FUNCTION restore_window() RESET ALL", "must be owner"),
    ] {
        let outcome = as_app(statement);
        assert!(outcome.as_ref().is_err_and(|error| error.contains(said)), "{statement}: {outcome:?}");
    }
    let role = servers.sql(
        "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR EXISTS \
         (SELECT FROM pg_auth_members WHERE member = r.oid) OR EXISTS (SELECT FROM pg_class WHERE relowner = r.oid) \
         FROM pg_roles r WHERE rolname = 'app'",
        "app",
    );
    assert_eq!(role, "f");
    let unguarded = servers.sql(
        "SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' \
         AND NOT relrowsecurity",
        "app",
    );
    let mut unguarded: Vec<&str> = unguarded.split(' ').collect();
    unguarded.sort_unstable();
    assert_eq!(unguarded, ["idempotency_keys", "schedules", "schema_migrations"], "tables of nobody's");
}
