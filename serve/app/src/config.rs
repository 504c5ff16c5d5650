//! What the application's commands need of their environment.

use std::net::SocketAddr;
use std::sync::Arc;

use foundation::environment::{
    ConfigErrors, DatabaseEndpoint, Listen, PrivateCa, Reader, Secret, ValkeyEndpoint,
};
use foundation::mail;
use foundation::seal::KeyRing;
use foundation::telemetry::sentry::Dsn;
use ipnet::IpNet;
use rustls_pki_types::CertificateDer;
use url::Url;

/// What `app serve` needs.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Where the application listens.
    pub listen: Listen,
    /// Where the metrics are, plain HTTP.
    pub metrics: SocketAddr,
    /// Where people and agents reach the application.
    pub public_url: Url,
    /// The edge hosts, whose word counts for who the client is.
    pub trusted_proxies: Vec<IpNet>,
    /// The name of what is deployed, shown to people; the program's version unless the platform names it.
    pub release: String,
    /// The authority that signed the certificates of PgBouncer and Valkey.
    pub ca: PrivateCa,
    /// PostgreSQL through PgBouncer.
    pub database: DatabaseEndpoint,
    /// The Valkey that never evicts.
    pub durable: ValkeyEndpoint,
    /// The Valkey that may forget.
    pub cache: ValkeyEndpoint,
    /// Signs cursors and guards forms; all processes share it.
    pub secret_key: Secret,
    /// Seals secrets at rest; all processes share it.
    pub sealing_keys: Arc<KeyRing>,
    /// Where mail is handed in; without it, none is sent.
    pub mail: Option<mail::Settings>,
    /// Who knows people; without one nobody can sign in.
    pub issuer: Option<IssuerConfig>,
    /// Authorities that are trusted beside the public ones for the issuer and other services.
    pub extra_authorities: Vec<CertificateDer<'static>>,
    /// Where errors are reported to, if anywhere.
    pub tracker: Option<Dsn>,
    /// Where webhooks may go beyond the public Internet: for labs and tests.
    pub webhook_networks: Vec<IpNet>,
    /// Where jobs run.
    pub workers: Workers,
}

/// Where jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// In the process that serves, and in others of the same kind.
    Here,
    /// In processes of their own, which `app work` is.
    Elsewhere,
}

/// The OpenID Connect issuer, and who the application is to it.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// The issuer's name, letter for letter as its tokens have it.
    pub name: String,
    /// Where its description is.
    pub discovery: Url,
    /// The application's name at the issuer.
    pub client_id: String,
    /// With which the application proves who it is.
    pub client_secret: Secret,
}

/// What `app migrate` needs.
#[derive(Clone, Debug)]
pub struct MigrateConfig {
    /// The authority that signed PostgreSQL's certificate.
    pub ca: PrivateCa,
    /// PostgreSQL itself, as the role that owns the schema.
    pub database: DatabaseEndpoint,
    /// The role that `app serve` uses, to be granted the rows but not the schema.
    pub serving_role: Option<String>,
}

/// What `app jobs` needs.
#[derive(Clone, Debug)]
pub struct JobsConfig {
    /// The authority that signed PgBouncer's certificate.
    pub ca: PrivateCa,
    /// PostgreSQL through PgBouncer.
    pub database: DatabaseEndpoint,
}

impl JobsConfig {
    /// Reads the configuration of `app jobs`; `variable` looks a variable up, as `std::env::var` does.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(&variable);
        let ca = reader.private_ca();
        let database = reader.database("DATABASE");
        let config = ca.zip(database).map(|(ca, database)| Self { ca, database });
        reader.finish(config)
    }
}

impl ServeConfig {
    /// Reads the configuration of `app serve`; `variable` looks a variable up, as `std::env::var` does.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(&variable);
        let listen = reader.listen();
        let metrics = reader.socket("METRICS_PORT");
        let public_url = reader.public_url();
        let trusted_proxies = reader.trusted_proxies();
        let release = reader.optional("RELEASE").unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
        let ca = reader.private_ca();
        let database = reader.database("DATABASE");
        let durable = reader.valkey("VALKEY_DURABLE");
        let cache = reader.valkey("VALKEY_CACHE");
        let secret_key = reader.secret_key();
        let sealing_keys = reader.sealing_keys();
        let issuer = issuer(&mut reader);
        let extra_authorities = reader.extra_authorities();
        let tracker = reader.sentry_dsn();
        let mail = mail::Settings::read(&mut reader, &extra_authorities);
        let webhook_networks = reader.networks("WEBHOOK_ALLOWED_NETWORKS");
        let workers = workers(&mut reader);
        if let (Some(listen), Some(metrics)) = (&listen, metrics)
            && listen.application == metrics
        {
            reader.problem("METRICS_PORT: is the same as PORT; give the metrics a port of their own");
        }
        let config = (|| {
            Some(Self {
                listen: listen?,
                metrics: metrics?,
                public_url: public_url?,
                trusted_proxies,
                release,
                ca: ca?,
                database: database?,
                durable: durable?,
                cache: cache?,
                secret_key: secret_key?,
                sealing_keys: sealing_keys?,
                issuer,
                extra_authorities,
                mail,
                tracker,
                webhook_networks,
                workers: workers?,
            })
        })();
        reader.finish(config)
    }
}

/// `OIDC_ISSUER`, `OIDC_CLIENT_ID` and `OIDC_CLIENT_SECRET_FILE`: all of them or none.
fn issuer(reader: &mut Reader) -> Option<IssuerConfig> {
    const NAMES: [&str; 3] = ["OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET_FILE"];
    let (set, unset): (Vec<&str>, Vec<&str>) = NAMES.iter().partition(|name| reader.optional(name).is_some());
    if set.is_empty() {
        return None;
    }
    for name in unset {
        reader.problem(format!(
            "{name}: is not set, but {} is; set all of {}, or none",
            set[0],
            NAMES.join(", ")
        ));
    }
    let discovery = reader.optional("OIDC_ISSUER").and_then(|name| {
        let discovery = discovery(&name);
        if discovery.is_none() {
            reader
                .problem("OIDC_ISSUER: is not an https URL with a host and without query, fragment and user");
        }
        Some((name, discovery?))
    });
    let client_id = reader.optional("OIDC_CLIENT_ID");
    let client_secret =
        reader.optional("OIDC_CLIENT_SECRET_FILE").and_then(|_| reader.secret("OIDC_CLIENT_SECRET_FILE"));
    let (name, discovery) = discovery?;
    Some(IssuerConfig { name, discovery, client_id: client_id?, client_secret: client_secret? })
}

/// Where an issuer describes itself (OpenID Connect Discovery 1.0, section 4).
fn discovery(issuer: &str) -> Option<Url> {
    let url = Url::parse(issuer).ok().filter(|url| {
        let plain = url.query().is_none() && url.fragment().is_none();
        url.scheme() == "https"
            && url.has_host()
            && plain
            && url.username().is_empty()
            && url.password().is_none()
    })?;
    let base = url.as_str().trim_end_matches('/');
    Url::parse(&format!("{base}/.well-known/openid-configuration")).ok()
}

/// `WORKERS`: `none` where `app work` runs the jobs.
fn workers(reader: &mut Reader) -> Option<Workers> {
    let name = "WORKERS";
    match reader.optional(name).as_deref() {
        None => Some(Workers::Here),
        Some("none") => Some(Workers::Elsewhere),
        Some(_) => {
            reader.problem(format!("{name}: is not `none`; leave it unset where this process runs the jobs"));
            None
        }
    }
}

impl MigrateConfig {
    /// Reads the configuration of `app migrate`; `variable` looks a variable up, as `std::env::var` does.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(&variable);
        let ca = reader.private_ca();
        let database = reader.database("DATABASE_DIRECT");
        let serving_role = reader
            .optional("DATABASE_URL")
            .and_then(|text| Url::parse(&text).ok())
            .map(|url| url.username().to_owned())
            .filter(|role| !role.is_empty());
        let config = ca.zip(database).map(|(ca, database)| Self { ca, database, serving_role });
        reader.finish(config)
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
