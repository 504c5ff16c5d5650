//! What must be true of PostgreSQL, asked over the network where it is about the network.

use super::login::{Server, let_in, turned_away};
use super::{DATABASE, NAME, OWNING_ROLE, PORT, SERVING_ROLE, password_of, version};
use crate::Context;
use crate::probing::{about, judge_release, output, refuted};
use crate::secrets::Secret;
use crate::source::Software;
use bastide_platform::{Host, OperatingSystem, Role};
use bastide_verify::probe::{Authentication, Trust};
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use std::sync::Arc;

/// A server, and what it takes to ask it.
struct Subject {
    host: String,
    os: OperatingSystem,
    version: u16,
    server: Server,
    /// A host from which migrations come.
    app: Vantage,
    owner: Secret,
    serving: Secret,
}

pub(super) fn checks(context: &Context<'_>) -> Vec<Check> {
    let Some(app) = context.platform.hosts_with(Role::App).next() else { return vec![] };
    context.platform.hosts_with(Role::Db).flat_map(|db| of_server(context, app, db)).collect()
}

fn of_server(context: &Context<'_>, app: &Host, db: &Host) -> Vec<Check> {
    let subject = Arc::new(Subject {
        host: db.name.to_string(),
        os: db.os,
        version: version(context.platform, db),
        server: Server {
            address: db.address.into(),
            port: PORT,
            trust: Trust::Authorities(context.authority.trust_bundle()),
            database: DATABASE,
        },
        app: Vantage::host(&app.name),
        owner: context.secrets.password(&password_of(OWNING_ROLE)),
        serving: context.secrets.password(&password_of(SERVING_ROLE)),
    });
    let place = (NAME, subject.host.as_str());
    vec![
        about(
            &subject,
            place,
            "postgres/lets-in-by-scram-alone",
            "the right password is let in by SCRAM over verified TLS, a wrong one is not",
            lets_in_by_scram,
        ),
        about(
            &subject,
            place,
            "postgres/refuses-plaintext",
            "a login without TLS is refused, whatever its password",
            refuses_plaintext,
        ),
        about(
            &subject,
            place,
            "postgres/refuses-other-hosts",
            "a role is let in from the hosts that need it and from no other",
            refuses_other_hosts,
        ),
        about(
            &subject,
            place,
            "postgres/no-trust-no-md5",
            "no rule says trust, md5 or password, and no role has an MD5 hash",
            no_trust_no_md5,
        ),
        about(&subject, place, "postgres/checksums", "every page on disk has a checksum", checksums),
        about(
            &subject,
            place,
            "postgres/version",
            "the running PostgreSQL is at least the oldest fit version",
            recent,
        ),
    ]
}

async fn lets_in_by_scram(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let login = subject
        .server
        .login(OWNING_ROLE, &subject.owner)
        .query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    let session = let_in(field.postgres(&subject.app, login).await?, OWNING_ROLE)?;
    if session.authentication != Authentication::Scram || session.value(0) != Some("t") {
        return refuted(format!("{OWNING_ROLE} was let in by {}", session.authentication));
    }
    let wrong = subject.server.login(OWNING_ROLE, &Secret::new("a wrong password"));
    let refused = turned_away(field.postgres(&subject.app, wrong).await?, "a wrong password")?;
    Ok(format!("{OWNING_ROLE} is let in by {}; {refused}", session.authentication))
}

async fn refuses_plaintext(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let login = subject.server.login_in_the_clear(OWNING_ROLE, &subject.owner);
    turned_away(field.postgres(&subject.app, login).await?, "the right password in the clear")
}

/// The passwords are right, so it is the address that is refused.
async fn refuses_other_hosts(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let serving = subject.server.login(SERVING_ROLE, &subject.serving);
    let from_app = turned_away(
        field.postgres(&subject.app, serving).await?,
        &format!("{SERVING_ROLE} from {}", subject.app),
    )?;
    let own = Vantage::host(&subject.host);
    let owner = subject.server.login(OWNING_ROLE, &subject.owner);
    let from_own = turned_away(field.postgres(&own, owner).await?, &format!("{OWNING_ROLE} from {own}"))?;
    Ok(format!("{from_app}; {from_own}"))
}

/// What the superuser reads on the host itself, one value.
async fn ask(field: &Field, subject: &Subject, sql: &str) -> Result<String, Failure> {
    let argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", "postgres", "-c", sql];
    Ok(output(field, &subject.host, &argv).await?.trim().to_owned())
}

async fn no_trust_no_md5(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let sql = "SELECT string_agg(DISTINCT coalesce(auth_method, 'error: ' || error), ' ' ORDER BY \
               coalesce(auth_method, 'error: ' || error)) FROM pg_hba_file_rules";
    let methods = ask(&field, &subject, sql).await?;
    if methods != "peer scram-sha-256" {
        return refuted(format!("the rules in force say: {methods}"));
    }
    let sql = "SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL AND rolpassword NOT LIKE 'SCRAM-SHA-256$%'";
    match ask(&field, &subject, sql).await?.as_str() {
        "0" => Ok(format!("the rules in force say {methods}, and every password is a SCRAM verifier")),
        several => refuted(format!("{several} roles have a password that is no SCRAM verifier")),
    }
}

async fn checksums(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    match ask(&field, &subject, "SHOW data_checksums").await?.as_str() {
        "on" => Ok("data_checksums is on".to_owned()),
        other => refuted(format!("data_checksums is {other}; the cluster was made without them")),
    }
}

async fn recent(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let session = let_in(
        field.postgres(&subject.app, subject.server.login(OWNING_ROLE, &subject.owner)).await?,
        OWNING_ROLE,
    )?;
    let said = session.parameters.get("server_version").map(String::as_str).unwrap_or_default();
    let software = Software::Postgres(subject.version);
    judge_release(&field, (&subject.host, subject.os), software, said).await
}
