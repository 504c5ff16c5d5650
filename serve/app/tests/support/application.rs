//! The application's binary as the platform starts it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::process::Output;

use foundation::testing::program::{self, Program};
use foundation::testing::servers::{Server, Servers};

pub use foundation::testing::program::{Answer, exchange};

pub const BINARY: &str = env!("CARGO_BIN_EXE_app");
/// Where people and agents think that the application is.
pub const PUBLIC_URL: &str = "https://app.example.test";
/// What cursors and forms are signed with.
pub const SECRET_KEY: &str = "correct horse battery staple, twice";

/// One running application.
pub struct Application(Program);

impl Deref for Application {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.0
    }
}

impl DerefMut for Application {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.0
    }
}

impl Application {
    /// Starts the application and waits until it listens.
    pub fn start(servers: &Servers, environment: BTreeMap<&'static str, String>) -> Self {
        Self::start_as("serve", servers, environment)
    }

    /// The same, in another mode than serving.
    pub fn start_as(command: &str, servers: &Servers, environment: BTreeMap<&'static str, String>) -> Self {
        Self(Program::start(BINARY, command, servers, environment))
    }

    /// `app health`, in the environment of the running application.
    pub fn health(&self) -> Output {
        self.run(&["health"])
    }
}

/// The environment that the platform gives the container, with `127.0.0.1` for every host.
pub fn environment(servers: &Servers) -> BTreeMap<&'static str, String> {
    std::fs::write(servers.path("secret-key"), format!("{SECRET_KEY}\n")).unwrap();
    std::fs::write(servers.path("sealing-keys"), format!("1:{}=\n", "A".repeat(43))).unwrap();
    let file = |name: &str| servers.path(name).display().to_string();
    BTreeMap::from([
        ("BIND_ADDRESS", "127.0.0.1".to_owned()),
        ("PUBLIC_URL", PUBLIC_URL.to_owned()),
        ("PRIVATE_CA_FILE", file("ca.pem")),
        ("TLS_CERT_FILE", file("server.pem")),
        ("TLS_KEY_FILE", file("server.key")),
        ("DATABASE_URL", format!("postgres://app@127.0.0.1:{}/app", servers.port(Server::PgBouncer))),
        ("DATABASE_PASSWORD_FILE", file("password")),
        ("DATABASE_DIRECT_URL", format!("postgres://owner@localhost:{}/app", servers.port(Server::Postgres))),
        ("DATABASE_DIRECT_PASSWORD_FILE", file("password")),
        ("VALKEY_DURABLE_URL", format!("rediss://app@127.0.0.1:{}", servers.port(Server::Durable))),
        ("VALKEY_DURABLE_PASSWORD_FILE", file("password")),
        ("VALKEY_CACHE_URL", format!("rediss://app@localhost:{}", servers.port(Server::Cache))),
        ("VALKEY_CACHE_PASSWORD_FILE", file("password")),
        ("SECRET_KEY_FILE", file("secret-key")),
        ("SEALING_KEYS_FILE", file("sealing-keys")),
    ])
}

/// Runs a command of the binary to its end.
pub fn run(arguments: &[&str], environment: &BTreeMap<&'static str, String>) -> Output {
    program::run(BINARY, arguments, environment)
}

/// Brings the schema up to date.
pub fn migrate(servers: &Servers) -> Output {
    run(&["migrate"], &environment(servers))
}
