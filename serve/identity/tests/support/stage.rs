//! One issuer with its database.

use std::collections::BTreeMap;

use foundation::testing::program::{Program, run};
use foundation::testing::servers::{Server, Servers};

pub const BINARY: &str = env!("CARGO_BIN_EXE_identity");
/// The issuer's name.
pub const ISSUER: &str = "https://id.example.test";
/// What forms are signed with.
pub const SECRET_KEY: &str = "correct horse battery staple, twice";
/// The secret of every client that has one.
pub const CLIENT_SECRET: &str = "s3cret:with +%&/= in it, long enough";

/// An issuer that is ready.
pub struct Stage {
    // Dropped before the servers, so that it does not complain of their end.
    pub issuer: Program,
    pub servers: Servers,
}

/// The environment that the platform gives the issuer; `settings` is its file of clients and login providers.
pub fn environment(servers: &Servers, settings: &str) -> BTreeMap<&'static str, String> {
    std::fs::write(servers.path("secret-key"), format!("{SECRET_KEY}\n")).unwrap();
    std::fs::write(servers.path("sealing-keys"), format!("1:{}=\n", "A".repeat(43))).unwrap();
    std::fs::write(servers.path("client-secret"), format!("{CLIENT_SECRET}\n")).unwrap();
    std::fs::write(servers.path("identity.toml"), settings).unwrap();
    let file = |name: &str| servers.path(name).display().to_string();
    BTreeMap::from([
        ("BIND_ADDRESS", "127.0.0.1".to_owned()),
        ("PUBLIC_URL", ISSUER.to_owned()),
        ("PRIVATE_CA_FILE", file("ca.pem")),
        ("EXTRA_CA_FILE", file("ca.pem")),
        ("TLS_CERT_FILE", file("server.pem")),
        ("TLS_KEY_FILE", file("server.key")),
        ("DATABASE_URL", format!("postgres://app@127.0.0.1:{}/app", servers.port(Server::Postgres))),
        ("DATABASE_PASSWORD_FILE", file("password")),
        ("DATABASE_DIRECT_URL", format!("postgres://owner@127.0.0.1:{}/app", servers.port(Server::Postgres))),
        ("DATABASE_DIRECT_PASSWORD_FILE", file("password")),
        ("SECRET_KEY_FILE", file("secret-key")),
        ("SEALING_KEYS_FILE", file("sealing-keys")),
        ("IDENTITY_FILE", file("identity.toml")),
        // Tests are the edge: they say from where somebody comes.
        ("TRUSTED_PROXIES", "127.0.0.1".to_owned()),
    ])
}

impl Stage {
    /// On servers of its own; `settings` makes the file of clients and login providers, and may write the files that it
    /// names.
    pub async fn new(settings: impl FnOnce(&Servers) -> String) -> Self {
        Self::on(Servers::start(), settings, &[]).await
    }

    /// On these servers, with more variables in the issuer's environment.
    pub async fn on(
        servers: Servers,
        settings: impl FnOnce(&Servers) -> String,
        more: &[(&'static str, String)],
    ) -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let mut variables = environment(&servers, &settings(&servers));
        variables.extend(more.iter().cloned());
        let migrated = run(BINARY, &["migrate"], &variables);
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let issuer = Program::start(BINARY, "serve", &servers, variables);
        issuer.wait_for_missing(&[]).await;
        Self { issuer, servers }
    }

    /// How many rows a table has, or a condition on it.
    pub fn count(&self, of: &str) -> String {
        self.servers.sql(&format!("SELECT count(*) FROM {of}"), "app")
    }
}
