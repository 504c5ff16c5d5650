//! The file by which the lab starts them, at the names at which the world knows them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::response::{IntoResponse as _, Response};
use foundation::http_client::{HttpClient, Limits};
use foundation::server;
use foundation::webhook::resolve::NameServers;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCertUsingSni;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use url::Url;

use crate::control::{self, Control};
use crate::gate;
use crate::provider::{Place, Provider};
use crate::registration::{Proof, Registration};
use crate::world::World;

/// Why they could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file is missing or not readable.
    #[error("reading {path}: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration is none.
    #[error("reading {path}: {source}")]
    Malformed {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: toml::de::Error,
    },
    /// A certificate or key is none.
    #[error("reading {path}: {problem}")]
    Certificate {
        /// Which file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A client names no proof, or several.
    #[error(
        "client {0:?} of the file: name its secret_file, its certificate_file, or its key_file with key_id and team_id"
    )]
    Proof(String),
    /// An address cannot be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// rustls refused the parts.
    #[error("preparing TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where people and clients reach them, over TLS.
    listen: Vec<SocketAddr>,
    /// Where the lab tells them what to do, over plain HTTP.
    control: SocketAddr,
    /// Where each is, if not at the hosts at which the world knows it.
    #[serde(default)]
    at: BTreeMap<Provider, Url>,
    /// PEM of the authority that has signed the certificates of clients that are told something.
    authority_file: Option<PathBuf>,
    /// Certificates, by the names that they are shown for.
    certificate: Vec<CertificateFiles>,
    #[serde(default)]
    client: Vec<Client>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateFiles {
    names: Vec<String>,
    certificate_file: PathBuf,
    key_file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    provider: Provider,
    client_id: String,
    redirect_uris: Vec<String>,
    secret_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    key_id: Option<String>,
    team_id: Option<String>,
    notifications: Option<Url>,
    #[serde(default)]
    tells_edov: bool,
    #[serde(default)]
    tokens_end: bool,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it is missing or wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(&text(path)?)
            .map_err(|source| ConfigError::Malformed { path: path.display().to_string(), source })
    }
}

fn text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.display().to_string(), source })
}

impl Client {
    fn registration(self) -> Result<Registration, ConfigError> {
        let proof = match (self.secret_file, self.certificate_file, self.key_file, self.key_id, self.team_id)
        {
            (Some(secret), None, None, None, None) => Proof::Secret(text(&secret)?.trim_end().to_owned()),
            (None, Some(certificate), None, None, None) => Proof::Certificate(text(&certificate)?),
            (None, None, Some(key), Some(key_id), Some(team_id)) => {
                Proof::Key { pem: text(&key)?, key_id, team_id }
            }
            _ => return Err(ConfigError::Proof(self.client_id)),
        };
        Ok(Registration {
            client_id: self.client_id,
            redirect_uris: self.redirect_uris,
            proof,
            notifications: self.notifications,
            tells_edov: self.tells_edov,
            tokens_end: self.tokens_end,
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| {
        ConfigError::Certificate { path: path.display().to_string(), problem: error.to_string() }
    })
}

fn tls(files: &[CertificateFiles]) -> Result<ServerConfig, ConfigError> {
    let mut shown = ResolvesServerCertUsingSni::new();
    let builder = ServerConfig::builder().with_no_client_auth();
    for each in files {
        let key = PrivateKeyDer::from_pem_file(&each.key_file).map_err(|error| ConfigError::Certificate {
            path: each.key_file.display().to_string(),
            problem: error.to_string(),
        })?;
        let chain = certificates(&each.certificate_file)?;
        let certified = CertifiedKey::from_der(chain, key, builder.crypto_provider())?;
        for name in &each.names {
            shown.add(name, certified.clone())?;
        }
    }
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until `stop` completes.
///
/// # Errors
/// Where something that the file names is wrong.
pub async fn serve(config: Config, stop: impl Future<Output = ()>) -> Result<(), ConfigError> {
    let tls = tls(&config.certificate)?;
    let place = |provider| match config.at.get(&provider) {
        Some(url) => Place::At(url.as_str().trim_end_matches('/').to_owned()),
        None => Place::World,
    };
    let places = BTreeMap::from(Provider::ALL.map(|provider| (provider, place(provider))));
    let world = Arc::new(World::new(places.clone()));
    for client in config.client {
        let provider = client.provider;
        let registration = client.registration()?;
        world.change(|state| state.service(provider).registrations.push(registration));
    }
    let authorities = config.authority_file.as_deref().map(certificates).transpose()?.unwrap_or_default();
    let http = HttpClient::new(Arc::new(NameServers::of_system()), &authorities, Limits::default())?;
    Provider::ALL.into_iter().for_each(|provider| world.change(|state| state.make_keys(provider)));
    let router = by_host(&world, &places);
    for address in config.listen {
        let listener = listen(address).await?;
        tokio::spawn(server::serve(listener, Some(tls.clone()), router.clone(), std::future::pending()));
    }
    let control = control::router(Control { world, http });
    server::serve(listen(config.control).await?, None, control, stop).await;
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ConfigError> {
    TcpListener::bind(address).await.map_err(|source| ConfigError::Listen { address, source })
}

/// Each at its hosts.
fn by_host(world: &Arc<World>, places: &BTreeMap<Provider, Place>) -> Router {
    let router = |(provider, place): (&Provider, &Place)| {
        (place.hosts(*provider).map(ToOwned::to_owned).collect::<Vec<_>>(), gate::provider(world, *provider))
    };
    let routers: Arc<[_]> = places.iter().map(router).collect();
    Router::new().fallback(move |request: Request| {
        let host = host(&request);
        let found = routers.iter().find(|(hosts, _)| hosts.contains(&host));
        let router = found.map(|(_, router)| router.clone());
        async move {
            match router {
                Some(router) => match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(impossible) => match impossible {},
                },
                None => nobody(),
            }
        }
    })
}

fn host(request: &Request) -> String {
    let named = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = request.uri().host().or(named).unwrap_or_default();
    host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

fn nobody() -> Response {
    (StatusCode::MISDIRECTED_REQUEST, "Nobody is at this name.").into_response()
}
