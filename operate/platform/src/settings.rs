//! Settings of components, as `platform.toml` gives them.

use crate::app::AppSettings;
use crate::identity::IdentitySettings;
use crate::version::Version;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
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
    /// Who gets banned, and where.
    pub fail2ban: Fail2banSettings,
    /// The application.
    pub app: AppSettings,
    /// PostgreSQL.
    pub postgres: PostgresSettings,
    /// PgBouncer.
    pub pgbouncer: PgBouncerSettings,
    /// Valkey's two instances.
    pub valkey: ValkeySettings,
    /// The issuer and the login providers behind it.
    pub identity: IdentitySettings,
    /// Present where the platform is a lab's.
    pub lab: Option<LabSettings>,
}

/// Who may log in to the hosts, and from where.
///
/// Both lists are empty in a lab's file: the lab makes its own operator.
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
    /// Ranges from which it connects to the origin; empty without a CDN, and in a lab's file.
    pub ranges: Vec<Ipv4Net>,
    /// Certificate authority of the client certificate that it presents to the origin (PEM file).
    pub origin_pull_authority: Option<PathBuf>,
    /// How it speaks to the origin, as set for the zone at the CDN.
    pub ssl_mode: SslMode,
    /// Whether it answers every request over HTTP with a redirect itself, so that none reaches port 80.
    pub always_use_https: bool,
    /// File with the token for the CDN's API, where bans act at the CDN too.
    pub api_token_file: Option<PathBuf>,
}

/// Which CDN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CdnProvider {
    /// None: the edge faces the internet.
    None,
    /// Cloudflare, or a lab's stand-in that behaves like it.
    Cloudflare,
}

/// How a CDN speaks to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Plain HTTP, whatever the visitor used.
    Flexible,
    /// TLS, with any certificate.
    Full,
    /// TLS, with a certificate that the CDN verifies.
    FullStrict,
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
    /// Names beyond the domain itself that need a certificate; `*.domain` for a wildcard.
    pub names: Vec<String>,
}

/// Proof of ownership of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// A file on port 80; passes through a CDN.
    Http01,
    /// A record in DNS; the only way to a wildcard.
    Dns01,
}

/// fail2ban's settings.
#[derive(Debug, Clone)]
pub struct Fail2banSettings {
    /// Where a ban acts.
    pub action: BanAction,
}

/// Where a ban acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BanAction {
    /// In Caddy, which knows the client's address behind a CDN too: 403.
    Proxy,
    /// In the edge's firewall, by the packet's source address.
    Firewall,
}

/// PostgreSQL's settings.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Major version; none means the one that the operating system's package source has.
    pub version: Option<u16>,
    /// Connections that the server accepts.
    pub max_connections: u16,
    /// Settings written as they are into the configuration, after Bastide's own.
    pub extra: Vec<(String, String)>,
}

/// PgBouncer's settings.
#[derive(Debug, Clone)]
pub struct PgBouncerSettings {
    /// When a server connection goes back to the pool.
    pub pool_mode: PoolMode,
    /// Prepared statements kept a server connection; 0 turns them off.
    pub max_prepared_statements: u16,
    /// Server connections a database and user.
    pub pool_size: u16,
    /// Client connections in all.
    pub max_clients: u16,
    /// Oldest version that may run; checked on the running server.
    pub minimum_version: Version,
}

/// When PgBouncer gives a server connection back to its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// When the client disconnects.
    Session,
    /// When the transaction ends.
    Transaction,
    /// When the statement ends; there are no transactions.
    Statement,
}

impl PoolMode {
    /// The mode as PgBouncer writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
            PoolMode::Statement => "statement",
        }
    }
}

/// Both instances of Valkey.
#[derive(Debug, Clone)]
pub struct ValkeySettings {
    /// Servers that run on a cache host: two, or one that would hold everything, which lint refuses.
    pub instances: u8,
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
    /// What survives a restart.
    pub persistence: Persistence,
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

impl Eviction {
    /// The policy as Valkey writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Eviction::NoEviction => "noeviction",
            Eviction::AllKeysLru => "allkeys-lru",
            Eviction::AllKeysLfu => "allkeys-lfu",
        }
    }
}

/// What of a Valkey instance survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    None,
    /// Every write, from an append-only file.
    AppendOnly,
}

/// Settings that only a lab has.
#[derive(Debug, Clone)]
pub struct LabSettings {
    /// Network of the lab's internet, inside a documentation range: a quarter of 198.51.100.0/24.
    pub network: Ipv4Net,
}

impl LabSettings {
    /// Where the lab's operator is: the first address of the network.
    pub fn operator(&self) -> Ipv4Addr {
        self.offset(1)
    }

    /// Range from which the lab's CDN reaches the edge.
    pub fn cdn_range(&self) -> Ipv4Net {
        Ipv4Net::new_assert(self.offset(32), 29)
    }

    fn offset(&self, by: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network.network()) + by)
    }
}
