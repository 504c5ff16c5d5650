//! Against the newest PostgreSQL that the machine has, in a cluster of its own inside namespaces.

use super::*;
use crate::resource::Manage;
use crate::resource::testing::in_namespaces;
use std::process::Command;

const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2E=$\
                        qx2nGSh6dnRJ7yjT7FP3g3rN0uXxZr0QGHc6pQvDkmk=:3tzSv8j5aJvb6oVW6MuHxbEEjBpc0fSPm8tGEFYNCps=";

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {said}");
    said
}

/// Runs the named test again in namespaces where Debian's cluster `main` does not exist yet.
fn in_namespace(test: &str) -> bool {
    in_namespaces(
        test,
        &["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"],
        || {
            sh("ip link set lo up; mkdir -p /var/run/postgresql; \
            for d in /etc/postgresql /var/lib/postgresql /var/run/postgresql /var/log/postgresql; do \
            mount -t tmpfs -o mode=0755 tmpfs $d; chown postgres:postgres $d; done");
        },
    )
}

fn version() -> u16 {
    std::fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .max()
        .unwrap()
}

fn host() -> Host {
    Host::new(Box::new(|_| Err(ResourceError::Other("no blobs here".into()))))
}

/// Summary and lines of the difference, joined; empty where there is none.
fn difference(resource: &dyn Manage) -> String {
    let difference = resource.observe(&mut host()).unwrap().difference;
    difference.map(|found| format!("{}\n{}", found.summary, found.lines.join("\n"))).unwrap_or_default()
}

fn assert_converges(resource: &dyn Manage) {
    let mut host = host();
    assert!(resource.observe(&mut host).unwrap().difference.is_some(), "{} differs at first", resource.id());
    resource.change(&mut host).unwrap();
    assert_eq!(resource.observe(&mut host).unwrap().difference, None, "{}", resource.id());
    assert_eq!(difference(resource), "", "{} seen afresh", resource.id());
}

fn assert_repaired(resource: &dyn Manage, broken_by: &str, says: &str) {
    psql("postgres", broken_by);
    let found = difference(resource);
    assert!(found.contains(says), "{broken_by}: {found}");
    assert_converges(resource);
}

fn psql(database: &str, script: &str) -> String {
    sh(&format!(
        "cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 -d {database} <<'EOF'\n{script}\nEOF"
    ))
}

fn role() -> PostgresRole {
    PostgresRole {
        name: "app's \"role\"".into(),
        verifier: Some(VERIFIER.into()),
        member_of: vec!["readers".into()],
        connection_limit: 7,
        settings: vec![
            ("statement_timeout".into(), "15000ms".into()),
            ("search_path".into(), "app, \"$user\", public".into()),
            ("work_mem".into(), "8MB".into()),
            ("default_transaction_read_only".into(), "on".into()),
        ],
    }
}

fn group(name: &str) -> PostgresRole {
    PostgresRole {
        name: name.into(),
        verifier: None,
        member_of: vec![],
        connection_limit: -1,
        settings: vec![],
    }
}

fn database() -> PostgresDatabase {
    PostgresDatabase { name: "shop".into(), owner: "shop_owner".into(), connect: vec!["readers".into()] }
}

fn settings(extra: &[(&str, &str)]) -> PostgresSettings {
    let values = [("work_mem", "6MB"), ("log_line_prefix", "%m it's [%p] "), ("shared_buffers", "64MB")];
    let values = values.iter().chain(extra).map(|(name, value)| ((*name).into(), (*value).into())).collect();
    PostgresSettings { version: version(), values }
}

fn schema() -> PostgresObject {
    PostgresObject {
        name: "schema audit".into(),
        database: "shop".into(),
        state: "SELECT has_schema_privilege('readers', 'audit', 'USAGE')::text || E'\\nx'".into(),
        expected: "true\nx".into(),
        script: "CREATE SCHEMA IF NOT EXISTS audit; GRANT USAGE ON SCHEMA audit TO readers;".into(),
    }
}

#[test]
#[ignore = "needs root, PostgreSQL and namespaces"]
fn real_server_from_nothing_to_drift_and_back() {
    if !in_namespace("resource::postgres::tests::real_server_from_nothing_to_drift_and_back") {
        return;
    }
    let extension = PostgresExtension { database: "shop".into(), name: "plpgsql".into() };
    let all: [&dyn Manage; 5] = [&role(), &database(), &extension, &schema(), &settings(&[])];
    for resource in all {
        assert!(difference(resource).contains("will be created"), "{}", resource.id());
        assert!(resource.change(&mut host()).is_err(), "{} without a server", resource.id());
    }

    // Settings come before the server's first start.
    sh(&format!("pg_createcluster {} main", version()));
    assert_converges(&settings(&[]));
    sh(&format!("pg_ctlcluster {} main start", version()));
    assert_eq!(difference(&settings(&[])), "", "the started server has them");

    settings_drift();
    assert_converges(&group("readers"));
    assert_converges(&group("shop_owner"));
    role_drift();
    assert_converges(&database());
    database_drift();
    assert_converges(&schema());
    assert_repaired_in_shop();
    assert_eq!(difference(&extension), "");
    psql("shop", "DROP EXTENSION plpgsql CASCADE");
    assert_converges(&extension);
    assert_fast(&[&role(), &database(), &extension, &schema(), &settings(&[])]);
}

fn settings_drift() {
    let settings = settings(&[]);
    assert_repaired(
        &settings,
        "ALTER SYSTEM SET work_mem = '9MB'; SELECT pg_reload_conf(); SELECT pg_sleep(1)",
        "ALTER SYSTEM",
    );
    sh(&format!("echo \"work_mem = '5MB'\" >> {}", settings.file().display()));
    assert!(difference(&settings).contains("- work_mem = '5MB'"));
    assert_converges(&settings);

    let refused = super::tests::settings(&[("max_connections", "many")]);
    let error = refused.change(&mut host()).unwrap_err().to_string();
    assert!(error.contains("was refused") && error.contains("max_connections"), "{error}");
    assert_eq!(difference(&settings), "", "the old file is back");

    // Loaded by hand, then put back in the file without a reload.
    let path = settings.file().display().to_string();
    sh(&format!(
        "cp {path} /tmp/kept.$PPID; sed -i 's/6MB/3MB/' {path}; pg_ctlcluster {} main reload; sleep 1; \
                 cat /tmp/kept.$PPID > {path}; rm /tmp/kept.$PPID",
        version()
    ));
    assert!(difference(&settings).contains("- work_mem = 3072"), "{}", difference(&settings));
    assert_converges(&settings);

    let restart = super::tests::settings(&[("max_connections", "33")]);
    let mut host = host();
    restart.write(&mut host).unwrap();
    let document = host.facts.postgres.document().unwrap();
    restart.reload(&mut host, &document).unwrap();
    assert!(difference(&restart).contains("+ max_connections = 33 (waits for a restart)"));
    sh(&format!("pg_ctlcluster {} main restart", version()));
    assert_eq!(restart.observe(&mut host).unwrap().difference, None, "an old session notices the restart");
    settings.write(&mut host).unwrap();
    sh(&format!("pg_ctlcluster {} main restart", version()));
    assert_eq!(difference(&settings), "");
}

fn role_drift() {
    let role = role();
    assert_converges(&role);
    let name = "\"app's \"\"role\"\"\"";
    for (broken_by, says) in [
        ("ALTER ROLE @ SUPERUSER", "- SUPERUSER"),
        ("ALTER ROLE @ CREATEROLE REPLICATION", "- REPLICATION"),
        ("ALTER ROLE @ PASSWORD 'other'", "password differs"),
        ("ALTER ROLE @ NOLOGIN", "- NOLOGIN"),
        ("ALTER ROLE @ CONNECTION LIMIT 99", "- CONNECTION LIMIT 99"),
        ("ALTER ROLE @ SET work_mem = '1GB'", "- SET work_mem=1GB"),
        ("ALTER ROLE @ SET row_security = off", "- SET row_security=off"),
        ("ALTER ROLE @ RESET search_path", "+ SET search_path="),
        ("ALTER ROLE @ IN DATABASE postgres SET work_mem = '1MB'", "(in database postgres)"),
        ("ALTER ROLE @ VALID UNTIL '2020-01-01'", "- VALID UNTIL 2020"),
        ("REVOKE readers FROM @", "+ member of readers"),
        ("GRANT pg_read_all_data TO @", "- member of pg_read_all_data"),
        ("GRANT readers TO @ WITH ADMIN OPTION", "- may grant readers"),
        ("DROP ROLE @", "create the role"),
    ] {
        assert_repaired(&role, &broken_by.replace('@', name), says);
    }
    assert_eq!(
        psql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'app%'").trim(),
        VERIFIER
    );
    let path = "SELECT s FROM pg_db_role_setting, unnest(setconfig) s WHERE s LIKE 'search_path%'";
    assert_eq!(psql("postgres", path).trim(), "search_path=app, \"$user\", public");
}

fn database_drift() {
    let database = database();
    for (broken_by, says) in [
        ("GRANT CONNECT ON DATABASE shop TO PUBLIC", "- GRANT CONNECT TO PUBLIC"),
        (
            "GRANT CREATE ON DATABASE shop TO readers WITH GRANT OPTION",
            "- GRANT CREATE TO readers WITH GRANT OPTION",
        ),
        ("ALTER DATABASE shop OWNER TO postgres", "- OWNER postgres"),
        ("REVOKE CONNECT ON DATABASE shop FROM readers", "+ GRANT CONNECT TO readers"),
    ] {
        assert_repaired(&database, broken_by, says);
    }
    let encoding =
        "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database WHERE datname = 'shop'";
    assert_eq!(psql("postgres", encoding).trim(), "UTF8 C.UTF-8");
    let own = PostgresDatabase { name: "postgres".into(), owner: "postgres".into(), connect: vec![] };
    assert_converges(&own);
}

fn assert_repaired_in_shop() {
    psql("shop", "REVOKE USAGE ON SCHEMA audit FROM readers");
    assert!(difference(&schema()).contains("- false"));
    assert_converges(&schema());
    let writes = PostgresObject { state: "DROP SCHEMA audit".into(), ..schema() };
    let error = writes.observe(&mut host()).unwrap_err().to_string();
    assert!(error.contains("read-only"), "{error}");
    let broken = PostgresObject { script: "CREATE TABLE left_behind (); SELECT 1/0;".into(), ..schema() };
    let error = broken.change(&mut host()).unwrap_err().to_string();
    assert!(error.contains("division by zero"), "{error}");
    assert_eq!(psql("shop", "SELECT to_regclass('left_behind') IS NULL").trim(), "t", "one transaction");
}

/// All of it on one host must fit well into the 60 ms that a whole observation may take.
fn assert_fast(resources: &[&dyn Manage]) {
    let mut times: Vec<std::time::Duration> = (0..9)
        .map(|_| {
            let (mut host, start) = (host(), std::time::Instant::now());
            for resource in resources {
                assert_eq!(resource.observe(&mut host).unwrap().difference, None);
            }
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("observing PostgreSQL: median {:?}", times[4]);
    assert!(times[4] < std::time::Duration::from_millis(500), "{times:?}");
}
