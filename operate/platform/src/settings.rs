//! Settings of components, as `platform.toml` gives them.

use ipnet::Ipv4Net;
use std::path::PathBuf;

/// Every component's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who operates the platform.
    pub operator: Operator,
    /// What stands in front of the edge.
    pub cdn: Cdn,
    /// Who signs public certificates, and how it is proven that we own the name.
    pub acme: Acme,
    /// The application.
    pub app: AppSettings,
    /// PostgreSQL.
    pub postgres: PostgresSettings,
    /// PgBouncer.
    pub pgbouncer: PgBouncerSettings,
    /// Valkey's two instances.
    pub valkey: ValkeySettings,
    /// Present where the platform is a lab's.
    pub lab: Option<LabSettings>,
}

/// Who may log in to the hosts, and from where.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Networks from which SSH reaches the edge.
    pub addresses: Vec<Ipv4Net>,
    /// Public keys, one OpenSSH line each.
    pub keys: Vec<String>,
}

/// The content delivery network in front of the edge.
#[derive(Debug, Clone)]
pub struct Cdn {
    /// Whose it is.
    pub provider: CdnProvider,
    /// Ranges from which it connects to the origin; empty without a CDN.
    pub ranges: Vec<Ipv4Net>,
    /// Certificate authority of the client certificate that it presents to the origin (PEM file).
    pub origin_pull_authority: Option<PathBuf>,
}

/// Which CDN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CdnProvider {
    /// None: the edge faces the internet.
    None,
    /// Cloudflare, or a lab's stand-in that behaves like it.
    Cloudflare,
}

/// The certificate authority that signs public certificates.
#[derive(Debug, Clone)]
pub struct Acme {
    /// URL of its directory.
    pub directory: String,
    /// Address for its notices.
    pub email: Option<String>,
    /// Root (PEM file) that signed the directory's own certificate, where the system does not know it.
    pub root: Option<PathBuf>,
    /// How ownership is proven.
    pub challenge: Challenge,
}

/// Proof of ownership of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// A file on port 80; passes through a CDN.
    Http01,
    /// A record in DNS; the only way to a wildcard.
    Dns01,
}

/// The application's container.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// Static binary of which `bastide` makes the image; none means the reference application beside `bastide`.
    pub binary: Option<PathBuf>,
    /// Plain environment variables, beyond those of the contract.
    pub environment: Vec<(String, String)>,
    /// Other directories of the container that are writable memory; `/tmp` always is.
    pub tmpfs: Vec<String>,
}

/// PostgreSQL's settings.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Connections that the server accepts.
    pub max_connections: u16,
    /// Settings written as they are into the configuration, after Bastide's own.
    pub extra: Vec<(String, String)>,
}

/// PgBouncer's settings.
#[derive(Debug, Clone)]
pub struct PgBouncerSettings {
    /// Server connections a database and user.
    pub pool_size: u16,
    /// Client connections in all.
    pub max_clients: u16,
}

/// Both instances of Valkey.
#[derive(Debug, Clone)]
pub struct ValkeySettings {
    /// Sessions and queue: never evicts, survives a restart.
    pub durable: ValkeyInstance,
    /// Cache: evicts, keeps nothing.
    pub cache: ValkeyInstance,
}

/// One instance of Valkey.
#[derive(Debug, Clone)]
pub struct ValkeyInstance {
    /// Megabytes it may use for data.
    pub memory_mb: u32,
    /// What happens when they are used up.
    pub eviction: Eviction,
}

/// `maxmemory-policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// Writes fail; nothing is lost.
    NoEviction,
    /// The least recently used key goes.
    AllKeysLru,
    /// The least frequently used key goes.
    AllKeysLfu,
}

/// Settings that only a lab has.
#[derive(Debug, Clone)]
pub struct LabSettings {
    /// Network of the lab's internet, inside a documentation range.
    pub network: Ipv4Net,
}
