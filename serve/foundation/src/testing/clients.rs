//! Ways to the real servers, read from an environment as a service reads its own.

use super::servers::{Server, Servers};
use crate::environment::{DatabaseEndpoint, PrivateCa, Reader, ValkeyEndpoint};
use crate::migrate::{Migration, migrate};

impl Servers {
    /// The authority that signed the servers' certificates.
    #[must_use]
    pub fn private_ca(&self) -> PrivateCa {
        self.read("", |reader| reader.private_ca())
    }

    /// PostgreSQL or PgBouncer, as `role`.
    #[must_use]
    pub fn database_as(&self, role: &str, server: Server) -> DatabaseEndpoint {
        let url = format!("postgres://{role}@127.0.0.1:{}/app", self.port(server));
        self.read(&url, |reader| reader.database("SERVER"))
    }

    /// A Valkey, as `user`.
    #[must_use]
    pub fn valkey_as(&self, user: &str, server: Server) -> ValkeyEndpoint {
        let url = format!("rediss://{user}@127.0.0.1:{}", self.port(server));
        self.read(&url, |reader| reader.valkey("SERVER"))
    }

    /// Brings the schema up to date, with its grants to the role `app`.
    pub async fn migrate(&self, migrations: &[Migration]) {
        let owner = self.database_as("owner", Server::Postgres);
        migrate(migrations, &owner, &self.private_ca(), Some("app")).await.expect("the schema is migrated");
    }

    fn read<T>(&self, url: &str, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> T {
        let file = |name: &str| self.path(name).display().to_string();
        let variable = |name: &str| match name {
            "PRIVATE_CA_FILE" => Some(file("ca.pem")),
            "SERVER_URL" => Some(url.to_owned()),
            "SERVER_PASSWORD_FILE" => Some(file("password")),
            _ => None,
        };
        read(&mut Reader::new(&variable)).expect("the servers are where they said")
    }
}
