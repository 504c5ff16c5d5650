//! The issuer's database.

use super::Subject;
use crate::identity::{DATABASE, OWNING_ROLE, SERVING_ROLE};
use crate::postgres::login::{all_denied, let_in, turned_away};
use crate::probing::{judge_release, output, refuted};
use crate::secrets::Secret;
use crate::source::Software;
use bastide_verify::probe::Authentication;
use bastide_verify::{Evidence, Failure, Field, Vantage};
use std::sync::Arc;

/// What the cluster holds, where it listens, and which rules let in otherwise than they should: one line each.
const STATE: &str = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate \
     UNION ALL SELECT current_setting('listen_addresses') \
     UNION ALL SELECT count(*)::text FROM pg_hba_file_rules WHERE error IS NOT NULL \
     OR auth_method NOT IN ('peer', 'scram-sha-256') OR type NOT IN ('local', 'hostssl') \
     OR (type = 'hostssl' AND address IS DISTINCT FROM '127.0.0.1')";

pub(super) async fn is_its_own(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", "postgres", "-c", STATE];
    let state = judge_state(&output(&field, &subject.host, &argv).await?)?;
    let own = Vantage::host(&subject.host);
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let login = subject.server.login(SERVING_ROLE, &subject.serving).query(sql);
    let session = let_in(field.postgres(&own, login).await?, SERVING_ROLE)?;
    if session.authentication != Authentication::Scram || session.value(0) != Some("t") {
        return refuted(format!("{SERVING_ROLE} was let in by {}", session.authentication));
    }
    let plain = subject.server.login_in_the_clear(OWNING_ROLE, &subject.owner);
    let plain = turned_away(field.postgres(&own, plain).await?, "the right password in the clear")?;
    let wrong = subject.server.login(SERVING_ROLE, &Secret::new("a wrong password"));
    let wrong = turned_away(field.postgres(&own, wrong).await?, "a wrong password")?;
    Ok(format!("{state}; {plain}; {wrong}"))
}

fn judge_state(said: &str) -> Result<Evidence, Failure> {
    let lines: Vec<&str> = said.lines().collect();
    let [databases, addresses, loose] = lines.as_slice() else {
        return refuted(format!("not proven: the cluster says {said:?}"));
    };
    if *databases != format!("{DATABASE} postgres") {
        return refuted(format!("the cluster holds {databases}"));
    }
    if *addresses != "127.0.0.1" {
        return refuted(format!("the cluster listens at {addresses}"));
    }
    match *loose {
        "0" => Ok(format!("the cluster holds {DATABASE} alone and listens at {addresses}")),
        some => refuted(format!("{some} rules let in otherwise than by SCRAM over TLS from this host")),
    }
}

pub(super) async fn serving_role_is_confined(
    field: Arc<Field>,
    subject: Arc<Subject>,
) -> Result<Evidence, Failure> {
    let attempts = [
        "CREATE TABLE bastide_verify ()",
        "CREATE SCHEMA bastide_verify",
        "ALTER TABLE accounts ADD COLUMN bastide_verify integer",
        "DELETE FROM audit_events",
        "SELECT rolpassword FROM pg_authid",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ];
    let whom = (&subject.server, SERVING_ROLE, &subject.serving);
    all_denied(&field, &Vantage::host(&subject.host), whom, &attempts).await
}

pub(super) async fn recent(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let login = subject.server.login(SERVING_ROLE, &subject.serving);
    let session = let_in(field.postgres(&Vantage::host(&subject.host), login).await?, SERVING_ROLE)?;
    let said = session.parameters.get("server_version").map(String::as_str).unwrap_or_default();
    judge_release(&field, (&subject.host, subject.os), Software::Postgres(subject.version), said).await
}

#[cfg(test)]
mod tests {
    use super::judge_state;

    #[test]
    fn a_cluster_that_others_share_or_reach_is_noticed() {
        assert!(judge_state("identity postgres\n127.0.0.1\n0\n").is_ok());
        for wrong in [
            "app identity postgres\n127.0.0.1\n0\n",
            "identity postgres\n*\n0\n",
            "identity postgres\n127.0.0.1\n1\n",
            "",
        ] {
            assert!(judge_state(wrong).is_err(), "{wrong:?}");
        }
    }
}
