//! What must be true of PgBouncer, asked from where the application asks.

use super::{NAME, PORT, RESERVE, SOCKET_DIRECTORY, USER};
use crate::Context;
use crate::postgres::login::{Server, all_denied, let_in, turned_away};
use crate::postgres::{
    self, DATABASE, OWNING_ROLE, POOLER_ROLE, SERVING_ROLE, SLOW, SLOW_SETTING, password_of, version,
};
use crate::probing::{about, judge_release, logged, nonce, output, refuted};
use crate::secrets::Secret;
use crate::source::Software;
use bastide_platform::{Host, OperatingSystem, Role};
use bastide_verify::probe::{Answer, Authentication, PostgresSession, Trust};
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Clients beyond the server connections that there can be.
const MORE_CLIENTS: u32 = 15;
/// Executions of a prepared statement in every connection.
const EXECUTIONS: u32 = 20;

/// A pooler, and what it takes to ask it.
struct Subject {
    host: String,
    os: OperatingSystem,
    server: Server,
    /// A host from which the application comes.
    app: Vantage,
    /// Server connections that there can be.
    server_connections: u32,
    /// PostgreSQL's log.
    log: String,
    serving: Secret,
    owner: Secret,
    pooler: Secret,
}

pub(super) fn checks(context: &Context<'_>) -> Vec<Check> {
    let Some(app) = context.platform.hosts_with(Role::App).next() else { return vec![] };
    context.platform.hosts_with(Role::Db).flat_map(|db| of_pooler(context, app, db)).collect()
}

fn of_pooler(context: &Context<'_>, app: &Host, db: &Host) -> Vec<Check> {
    let password = |role: &str| context.secrets.password(&password_of(role));
    let subject = Arc::new(Subject {
        host: db.name.to_string(),
        os: db.os,
        server: Server {
            address: db.address.into(),
            port: PORT,
            trust: Trust::Authorities(context.authority.trust_bundle()),
            database: DATABASE,
        },
        app: Vantage::host(&app.name),
        server_connections: u32::from(context.platform.settings.pgbouncer.pool_size + RESERVE),
        log: format!("/var/log/postgresql/postgresql-{}-main.log", version(context.platform, db)),
        serving: password(SERVING_ROLE),
        owner: password(OWNING_ROLE),
        pooler: password(POOLER_ROLE),
    });
    let place = (NAME, subject.host.as_str());
    let mut checks = vec![
        about(
            &subject,
            place,
            "pgbouncer/lets-in-by-scram-alone",
            "the right password is let in by SCRAM over verified TLS, a wrong one is not",
            lets_in_by_scram,
        ),
        about(
            &subject,
            place,
            "pgbouncer/refuses-plaintext",
            "a login without TLS is refused, whatever its password",
            refuses_plaintext,
        ),
        about(
            &subject,
            place,
            "pgbouncer/pools-the-application-alone",
            "no other role passes, whatever its password, and no other host either",
            pools_the_application_alone,
        ),
        about(
            &subject,
            place,
            "pgbouncer/prepared-statements",
            "more clients than server connections use prepared statements, and each gets its own answers",
            prepared_statements,
        ),
        about(
            &subject,
            place,
            "pgbouncer/serving-role-is-confined",
            "the application's role can neither change the schema nor read other people's verifiers",
            serving_role_is_confined,
        ),
        about(
            &subject,
            place,
            "pgbouncer/version",
            "the running PgBouncer is at least the oldest fit version",
            recent,
        ),
    ];
    // What the platform file says of the log itself, it answers for.
    let own = &context.platform.settings.postgres.extra;
    if !own.iter().any(|(name, _)| [SLOW_SETTING, "log_line_prefix"].contains(&name.as_str())) {
        checks.push(about(
            &subject,
            (postgres::NAME, subject.host.as_str()),
            "postgres/slow-statements-are-named",
            "a slow statement of the application is logged, with the request that it was made for",
            slow_statements_are_named,
        ));
    }
    checks
}

async fn lets_in_by_scram(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let login = subject
        .server
        .login(SERVING_ROLE, &subject.serving)
        .query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    let session = let_in(field.postgres(&subject.app, login).await?, SERVING_ROLE)?;
    if session.authentication != Authentication::Scram {
        return refuted(format!("{SERVING_ROLE} was let in by {}", session.authentication));
    }
    if session.value(0) != Some("t") {
        return refuted("PgBouncer speaks to PostgreSQL in the clear");
    }
    let wrong = subject.server.login(SERVING_ROLE, &Secret::new("a wrong password"));
    let refused = turned_away(field.postgres(&subject.app, wrong).await?, "a wrong password")?;
    Ok(format!("{SERVING_ROLE} is let in by {}, and passed on over TLS; {refused}", session.authentication))
}

async fn refuses_plaintext(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let login = subject.server.login_in_the_clear(SERVING_ROLE, &subject.serving);
    turned_away(field.postgres(&subject.app, login).await?, "the right password in the clear")
}

async fn pools_the_application_alone(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let server = &subject.server;
    let own = Vantage::host(&subject.host);
    let mut console = server.login(USER, &subject.pooler);
    console.database = "pgbouncer".to_owned();
    let mut evidence = Vec::new();
    for (from, login, what) in [
        (&subject.app, server.login(OWNING_ROLE, &subject.owner), OWNING_ROLE),
        (&subject.app, server.login(POOLER_ROLE, &subject.pooler), POOLER_ROLE),
        (&subject.app, server.login("postgres", &subject.owner), "postgres"),
        (&subject.app, console, "the administration console"),
        (&own, server.login(SERVING_ROLE, &subject.serving), SERVING_ROLE),
    ] {
        let what = format!("{what} from {from}");
        evidence.push(turned_away(field.postgres(from, login).await?, &what)?);
    }
    Ok(evidence.join("; "))
}

/// All clients are there before the first of them asks, so that in session mode those beyond the pool would wait.
async fn prepared_statements(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let clients = subject.server_connections + MORE_CLIENTS;
    let sql = "SELECT $1::text, pg_backend_pid()::text";
    let mut login = subject
        .server
        .login(SERVING_ROLE, &subject.serving)
        .prepared(sql, &["{connection}"], EXECUTIONS)
        .connections(clients);
    login.timeout_ms = 25_000;
    let session = let_in(field.postgres(&subject.app, login).await?, SERVING_ROLE)?;
    judge_answers(&session, clients, subject.server_connections)
}

fn judge_answers(
    session: &PostgresSession,
    clients: u32,
    server_connections: u32,
) -> Result<Evidence, Failure> {
    let mut servers = BTreeSet::new();
    let mut answers = 0u32;
    for (client, answered) in session.answers.iter().enumerate() {
        for answer in answered {
            let Answer::Rows(rows) = answer else { continue };
            let [Some(echo), Some(server)] = rows.first().map(Vec::as_slice).unwrap_or_default() else {
                return refuted(format!("client {client} got an answer of another shape: {rows:?}"));
            };
            if *echo != client.to_string() {
                return refuted(format!("client {client} got the answer of client {echo}"));
            }
            servers.insert(server.clone());
            answers += 1;
        }
    }
    if answers != clients * EXECUTIONS {
        return refuted(format!(
            "{answers} answers came to {clients} clients who asked {EXECUTIONS} times each"
        ));
    }
    let used = servers.len();
    if used > server_connections as usize {
        return refuted(format!(
            "{clients} clients used {used} server connections, allowed are {server_connections}"
        ));
    }
    Ok(format!("{clients} clients had {answers} answers, each its own, over {used} server connections"))
}

async fn serving_role_is_confined(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let attempts = [
        "CREATE TABLE bastide_verify ()",
        "CREATE SCHEMA bastide_verify",
        "SELECT * FROM pgbouncer.get_auth('app')",
        "SELECT rolpassword FROM pg_authid",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ];
    let whom = (&subject.server, SERVING_ROLE, &subject.serving);
    all_denied(&field, &subject.app, whom, &attempts).await
}

/// As the application does it: the name holds for one transaction, on whichever server connection it gets.
async fn slow_statements_are_named(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let name = nonce();
    let login = subject
        .server
        .login(SERVING_ROLE, &subject.serving)
        .query("BEGIN")
        .query(&format!("SELECT set_config('application_name', '{name}', true)"))
        .query(&format!("SELECT pg_sleep({})", SLOW.as_secs_f64() + 0.1))
        .query("COMMIT")
        .query("SHOW application_name");
    let session = let_in(field.postgres(&subject.app, login).await?, SERVING_ROLE)?;
    if session.value(4).is_some_and(|left| left.contains(&name)) {
        return refuted("the name outlives its transaction, and would name other requests");
    }
    judge_slow(&logged(&field, &subject.host, &subject.log, &format!("[{name}]")).await?)
}

fn judge_slow(line: &str) -> Result<Evidence, Failure> {
    match line.split_once("duration: ") {
        Some((_, what)) => Ok(format!("with its request: {what}")),
        None => refuted(format!("the log has no duration: {line}")),
    }
}

async fn recent(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let port = PORT.to_string();
    let argv = [
        "runuser",
        "-u",
        USER,
        "--",
        "psql",
        "-XAtq",
        "-h",
        SOCKET_DIRECTORY,
        "-p",
        &port,
        "-U",
        USER,
        "-d",
        "pgbouncer",
        "-c",
        "SHOW VERSION",
    ];
    let said = output(&field, &subject.host, &argv).await?;
    judge_release(&field, (&subject.host, subject.os), Software::PgBouncer, said.trim()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn session(clients: u32, answer: impl Fn(u32, u32) -> (u32, u32)) -> PostgresSession {
        let row = |(echo, server): (u32, u32)| {
            Answer::Rows(vec![vec![Some(echo.to_string()), Some(server.to_string())]])
        };
        let of = |client| (0..EXECUTIONS).map(|n| row(answer(client, n))).collect();
        PostgresSession {
            authentication: Authentication::Scram,
            parameters: BTreeMap::new(),
            answers: (0..clients).map(of).collect(),
        }
    }

    #[test]
    fn answers_to_others_are_noticed() {
        assert!(judge_answers(&session(4, |client, n| (client, n % 2)), 4, 2).is_ok());
        let swapped = session(4, |client, n| (if n == 7 { client ^ 1 } else { client }, n % 2));
        assert!(judge_answers(&swapped, 4, 2).is_err());
    }

    #[test]
    fn a_server_connection_for_every_client_is_no_pool() {
        assert!(judge_answers(&session(4, |client, _| (client, client)), 4, 2).is_err());
    }

    #[test]
    fn missing_answers_are_noticed() {
        assert!(judge_answers(&session(3, |client, _| (client, 0)), 4, 2).is_err());
    }
}
