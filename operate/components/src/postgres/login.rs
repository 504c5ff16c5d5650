//! Logins to PostgreSQL or PgBouncer, for checks: the ones that must succeed and the ones that must not.

use crate::probing::refuted;
use crate::secrets::Secret;
use bastide_verify::probe::{Answer, Attempt, Postgres, PostgresSession, PostgresTls, Refusal, Stage, Trust};
use bastide_verify::{Evidence, Failure, Field, Vantage};
use std::net::IpAddr;

/// A server that speaks PostgreSQL's protocol.
#[derive(Clone)]
pub(crate) struct Server {
    /// Its private address.
    pub(crate) address: IpAddr,
    /// Its port.
    pub(crate) port: u16,
    /// Authorities by which its certificate is judged.
    pub(crate) trust: Trust,
    /// The database that is asked for.
    pub(crate) database: &'static str,
}

impl Server {
    /// A login over TLS, the certificate verified for the server's address.
    pub(crate) fn login(&self, user: &str, password: &Secret) -> Postgres {
        let tls = PostgresTls::Tls { trust: self.trust.clone(), server_name: self.address.to_string() };
        Postgres::new(self.address, self.port, user, self.database, tls).password(password.reveal())
    }

    /// The same without TLS.
    pub(crate) fn login_in_the_clear(&self, user: &str, password: &Secret) -> Postgres {
        Postgres { tls: PostgresTls::Plain, ..self.login(user, password) }
    }
}

/// The server itself turned the login away; a connection that never came about proves nothing of it.
pub(crate) fn turned_away<T>(attempt: Attempt<T>, login: &str) -> Result<Evidence, Failure> {
    match attempt {
        Ok(_) => refuted(format!("{login} was let in")),
        Err(Refusal { stage: Stage::Authentication, reason, .. }) => Ok(format!("{login}: {reason}")),
        Err(refusal) => refuted(format!("{login} did not get as far as to be turned away: {refusal}")),
    }
}

/// The session, in which every statement succeeded.
pub(crate) fn let_in(attempt: Attempt<PostgresSession>, login: &str) -> Result<PostgresSession, Failure> {
    let session = match attempt {
        Ok(session) => session,
        Err(refusal) => return refuted(format!("{login} was not let in: {refusal}")),
    };
    match session.error() {
        Some((code, message)) => refuted(format!("{login}: {message} ({code})")),
        None => Ok(session),
    }
}

/// Lets `user` try what it has no right to; a statement that should fail and does not is undone.
pub(crate) async fn all_denied(
    field: &Field,
    from: &Vantage,
    (server, user, password): (&Server, &str, &Secret),
    attempts: &[&str],
) -> Result<Evidence, Failure> {
    let mut login = server.login(user, password);
    for sql in attempts {
        login = login.query("BEGIN").query(sql).query("ROLLBACK");
    }
    let session = match field.postgres(from, login).await? {
        Ok(session) => session,
        Err(refusal) => return refuted(format!("{user} was not let in: {refusal}")),
    };
    let answers = session.answers.first().map(Vec::as_slice).unwrap_or_default();
    for (number, sql) in attempts.iter().enumerate() {
        match answers.get(3 * number + 1) {
            Some(Answer::Error { code, .. }) if code == "42501" => {}
            other => return refuted(format!("`{sql}` was not denied: {other:?}")),
        }
    }
    Ok(format!("denied: {}", attempts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_itself_can_turn_away() {
        let refusal = |stage| Attempt::<()>::Err(Refusal::new(stage, "no"));
        assert!(turned_away(refusal(Stage::Authentication), "a").is_ok());
        for stage in [Stage::Connect, Stage::Tls, Stage::Protocol] {
            assert!(turned_away(refusal(stage), "a").is_err(), "{stage:?}");
        }
        assert!(turned_away(Attempt::Ok(()), "a").is_err());
    }
}
