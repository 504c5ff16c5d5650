//! What the issuer's commands need of their environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foundation::environment::{ConfigErrors, DatabaseEndpoint, Listen, PrivateCa, Reader, Secret};
use foundation::mail;
use foundation::seal::KeyRing;
use foundation::telemetry::sentry::Dsn;
use ipnet::IpNet;
use rustls_pki_types::CertificateDer;
use url::Url;

use crate::settings::Settings;

/// What `identity serve` needs.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Where the issuer listens.
    pub listen: Listen,
    /// Where the metrics are, plain HTTP.
    pub metrics: SocketAddr,
    /// The issuer's name, and where people reach it.
    pub public_url: Url,
    /// The edge hosts, whose word counts for who the client is.
    pub trusted_proxies: Vec<IpNet>,
    /// The name of what is deployed.
    pub release: String,
    /// What `identity recover` and `identity sessions` need as well.
    pub stores: StoresConfig,
    /// The file of the keys that seal, which is followed.
    pub sealing_keys_file: PathBuf,
    /// Guards forms; all processes share it.
    pub secret_key: Secret,
    /// Who may ask, and which login providers there are.
    pub settings: Settings,
    /// Authorities that are trusted beside the public ones for login providers, clients and mail.
    pub extra_authorities: Vec<CertificateDer<'static>>,
    /// Where mail is handed in; without it, none is sent.
    pub mail: Option<mail::Settings>,
    /// Where errors are reported to, if anywhere.
    pub tracker: Option<Dsn>,
}

/// Where things are kept, and with what they are sealed.
#[derive(Clone, Debug)]
pub struct StoresConfig {
    /// The authority that signed the database's certificate.
    pub ca: PrivateCa,
    /// PostgreSQL.
    pub database: DatabaseEndpoint,
    /// Seals tokens and keys at rest.
    pub sealing_keys: Arc<KeyRing>,
}

/// What `identity recover` needs.
#[derive(Clone, Debug)]
pub struct RecoverConfig {
    /// Where accounts are kept.
    pub stores: StoresConfig,
    /// Where people reach the issuer.
    pub public_url: Url,
}

/// What `identity migrate` needs.
#[derive(Clone, Debug)]
pub struct MigrateConfig {
    /// The authority that signed PostgreSQL's certificate.
    pub ca: PrivateCa,
    /// PostgreSQL, as the role that owns the schema.
    pub database: DatabaseEndpoint,
    /// The role that `identity serve` uses, to be granted the rows but not the schema.
    pub serving_role: Option<String>,
}

impl StoresConfig {
    /// Reads the configuration of commands that work on what is kept.
    ///
    /// # Errors
    /// Everything that is wrong with the environment.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(&variable);
        let config = Self::of(&mut reader);
        reader.finish(config)
    }

    fn of(reader: &mut Reader) -> Option<Self> {
        let ca = reader.private_ca();
        let database = reader.database("DATABASE");
        let sealing_keys = reader.sealing_keys();
        Some(Self { ca: ca?, database: database?, sealing_keys: sealing_keys? })
    }
}

impl ServeConfig {
    /// Reads the configuration of `identity serve`; `variable` looks a variable up, as `std::env::var` does.
    ///
    /// # Errors
    /// Everything that is wrong with the environment, and with the files that it names.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(&variable);
        let listen = reader.listen();
        let metrics = reader.socket("METRICS_PORT");
        let public_url = issuer(&mut reader);
        let trusted_proxies = reader.trusted_proxies();
        let release = reader.optional("RELEASE").unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
        let stores = StoresConfig::of(&mut reader);
        // That it is named is said with its content.
        let sealing_keys_file = reader.optional("SEALING_KEYS_FILE").map(PathBuf::from);
        let secret_key = reader.secret_key();
        let settings = settings(&mut reader);
        let extra_authorities = reader.extra_authorities();
        let mail = mail::Settings::read(&mut reader, &extra_authorities);
        let tracker = reader.sentry_dsn();
        let config = (|| {
            Some(Self {
                listen: listen?,
                metrics: metrics?,
                public_url: public_url?,
                trusted_proxies,
                release,
                stores: stores?,
                sealing_keys_file: sealing_keys_file?,
                secret_key: secret_key?,
                settings: settings?,
                extra_authorities,
                mail,
                tracker,
            })
        })();
        reader.finish(config)
    }
}

impl RecoverConfig {
    /// Reads the configuration of `identity recover`.
    ///
    /// # Errors
    /// Everything that is wrong with the environment.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(&variable);
        let stores = StoresConfig::of(&mut reader);
        let public_url = issuer(&mut reader);
        let config = stores.zip(public_url).map(|(stores, public_url)| Self { stores, public_url });
        reader.finish(config)
    }
}

/// `PUBLIC_URL`, which is the issuer's name: without anything behind its host.
fn issuer(reader: &mut Reader) -> Option<Url> {
    let url = reader.public_url()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        reader.problem("PUBLIC_URL: is not https://name alone, which the issuer's name has to be");
        return None;
    }
    Some(url)
}

/// `IDENTITY_FILE`: clients and login providers.
fn settings(reader: &mut Reader) -> Option<Settings> {
    let name = "IDENTITY_FILE";
    let path = reader.required(name, "the file of clients and login providers")?;
    let text = match std::fs::read_to_string(Path::new(&path)) {
        Ok(text) => text,
        Err(error) => {
            reader.problem(format!("{name}: cannot read {path}: {error}"));
            return None;
        }
    };
    match Settings::parse(&text) {
        Ok(settings) => Some(settings),
        Err(problems) => {
            for problem in problems {
                reader.problem(format!("{name}: {problem}"));
            }
            None
        }
    }
}

impl MigrateConfig {
    /// Reads the configuration of `identity migrate`.
    ///
    /// # Errors
    /// Everything that is wrong with the environment.
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
