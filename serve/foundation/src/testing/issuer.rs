//! A small OpenID Connect issuer on the loopback, over TLS: it checks what a real one checks, and can be told to lie.
//!
//! Whoever is [`Issuer::awaits`]ed signs in without a question; otherwise a plain HTML form asks who it is.

mod answers;
mod keys;
mod state;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::servers::Servers;
use crate::environment::ServerCertificate;
use crate::{server, tls};
use state::Shared;

/// The application's name at the issuer.
pub const CLIENT_ID: &str = "reference app";
/// What it proves itself with: characters that have to be encoded before they go into the header.
pub const CLIENT_SECRET: &str = "s3cret:with +%&/= in it";

/// Somebody whom the issuer knows.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The issuer's name of the person.
    pub subject: String,
    /// What the person is called.
    pub name: String,
    /// The person's address, which the issuer has verified.
    pub email: String,
}

impl Identity {
    /// Somebody who is called as the issuer names them.
    #[must_use]
    pub fn of(subject: &str) -> Self {
        let (name, email) = (subject.to_owned(), format!("{subject}@example.test"));
        Self { subject: subject.to_owned(), name, email }
    }
}

/// What the issuer does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The ID token answers another question.
    WrongNonce,
    /// It is for another application.
    WrongAudience,
    /// It is another issuer's.
    WrongIssuer,
    /// It has ended.
    Expired,
    /// It is not signed, and says so.
    NoAlgorithm,
    /// It is signed with the client's secret.
    SignedWithSecret,
    /// It is signed with the public key, as if that were a secret.
    SignedWithPublicKey,
    /// It is signed with a key that was never published.
    UnknownKey,
    /// It is signed with such a key under the name of one that was.
    ForgedKey,
    /// The answer comes back in the name of another issuer.
    OtherIssuerAnswers,
    /// The description is another issuer's.
    OtherDescription,
    /// Every answer takes this long.
    Slow(Duration),
}

/// A running issuer.
pub struct Issuer {
    shared: Arc<Shared>,
    certificate: ServerCertificate,
    port: u16,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Issuer {
    /// Starts with the servers' certificate; people are sent back to `redirect_uri` and to nowhere else.
    pub async fn start(servers: &Servers, redirect_uri: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        std::fs::write(servers.path("client-secret"), CLIENT_SECRET).unwrap();
        let certificate =
            ServerCertificate { certificate: servers.path("server.pem"), key: servers.path("server.key") };
        let shared = Arc::new(Shared::new(format!("https://localhost:{port}"), redirect_uri));
        let mut issuer = Self { shared, certificate, port, running: None };
        issuer.serve(listener);
        issuer
    }

    fn serve(&mut self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel::<()>();
        let tls = tls::server(&self.certificate).unwrap();
        let router = answers::router(Arc::clone(&self.shared));
        let told = async {
            // Dropping the sender tells it, too.
            let _ = stopped.await;
        };
        self.running = Some((stop, tokio::spawn(server::serve(listener, Some(tls), router, told))));
    }

    /// Goes down: nothing listens any more.
    pub async fn stop(&mut self) {
        if let Some((stop, task)) = self.running.take() {
            let _ = stop.send(());
            task.await.unwrap();
        }
    }

    /// Comes up again, where it was.
    pub async fn start_again(&mut self) {
        self.serve(TcpListener::bind(("127.0.0.1", self.port)).await.unwrap());
    }

    /// What the application needs in its environment.
    #[must_use]
    pub fn environment(&self, servers: &Servers) -> [(&'static str, String); 4] {
        [
            ("OIDC_ISSUER", self.name().to_owned()),
            ("OIDC_CLIENT_ID", CLIENT_ID.to_owned()),
            ("OIDC_CLIENT_SECRET_FILE", servers.path("client-secret").display().to_string()),
            ("EXTRA_CA_FILE", servers.path("ca.pem").display().to_string()),
        ]
    }

    /// Its name, which is where it is.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// Where it listens on the loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whoever comes next is this person, without being asked; nobody, to ask again.
    pub fn awaits(&self, identity: Option<Identity>) {
        self.shared.change(|state| state.awaited = identity);
    }

    /// Does this wrong from now on; nothing, to do everything right again.
    pub fn does_wrong(&self, fault: Option<Fault>) {
        self.shared.change(|state| state.fault = fault);
    }

    /// Signs with a new key from now on. The old one stays published.
    pub fn rotates_keys(&self) {
        self.shared.change(state::State::rotate);
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn asked_for(&self, path: &str) -> usize {
        self.shared.change(|state| state.asked.get(path).copied().unwrap_or_default())
    }

    /// The sessions of a person here, the newest last: what ID tokens call `sid`.
    #[must_use]
    pub fn sessions_of(&self, subject: &str) -> Vec<String> {
        self.shared.change(|state| state.sessions_of(subject))
    }

    /// A logout token as it should be for these members, such as `{"sid": "…"}`; members that are null are left out.
    #[must_use]
    pub fn logout_token(&self, members: &Value) -> String {
        let claims = self.shared.change(|state| state.logout_claims(members));
        self.signed(&json!({"typ": "logout+jwt"}), &claims)
    }

    /// A token with these claims, signed with the current key.
    #[must_use]
    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        self.shared.change(|state| state.key().token(header, claims))
    }
}
