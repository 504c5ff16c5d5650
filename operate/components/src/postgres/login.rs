//! Logins to PostgreSQL or PgBouncer, for checks: the ones that must succeed and the ones that must not.

use crate::postgres::DATABASE;
use crate::probing::refuted;
use crate::secrets::Secret;
use bastide_verify::probe::{Attempt, Postgres, PostgresSession, PostgresTls, Refusal, Stage, Trust};
use bastide_verify::{Evidence, Failure};
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
}

impl Server {
    /// A login over TLS, the certificate verified for the server's address.
    pub(crate) fn login(&self, user: &str, password: &Secret) -> Postgres {
        let tls = PostgresTls::Tls { trust: self.trust.clone(), server_name: self.address.to_string() };
        Postgres::new(self.address, self.port, user, DATABASE, tls).password(password.reveal())
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
