//! The process's environment, parsed once at the border into types the rest of the program can trust.
//!
//! Every problem is collected, so that an operator fixes a unit file once and not once per variable. A message names
//! the variable and what was expected; it never repeats a value, because a value may hold a secret typed in the wrong
//! place.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use url::Url;

use crate::seal::KeyRing;
use crate::telemetry::sentry::{Dsn, Scheme};

/// A secret read from a file. Printing it prints nothing of it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text to itself.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A certificate authority that signs the private hops' server certificates.
#[derive(Clone, Debug)]
pub struct PrivateCa {
    /// The file's content as it is, PEM.
    pub pem: Vec<u8>,
    /// The certificates in it, at least one.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// A database to speak to, always over TLS with the server's name verified.
#[derive(Clone, Debug)]
pub struct DatabaseEndpoint {
    /// Host name or address, verified against the server's certificate.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The database role.
    pub user: String,
    /// The role's password.
    pub password: Secret,
    /// The database's name.
    pub database: String,
}

/// A Valkey to speak to, always over TLS with the server's name verified.
#[derive(Clone, Debug)]
pub struct ValkeyEndpoint {
    /// Host name or address, verified against the server's certificate.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The ACL user.
    pub user: String,
    /// The ACL user's password.
    pub password: Secret,
}

/// The certificate and key files with which the application serves TLS.
#[derive(Clone, Debug)]
pub struct ServerCertificate {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// Where the application listens, and as what.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Address and port of the application itself.
    pub application: SocketAddr,
    /// Present where the hop from the edge is TLS.
    pub tls: Option<ServerCertificate>,
}

/// Every problem found in the environment, one a line.
#[derive(Debug, thiserror::Error)]
#[error("the environment is not usable, {} problem(s):\n{}", .0.len(), .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

impl Listen {
    /// Reads only where the application of this environment listens.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(&variable);
        let listen = reader.listen();
        listen.ok_or(ConfigErrors(reader.problems))
    }
}

/// Looks variables up and remembers what was wrong with them.
pub struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads by `variable`, which looks a variable up as `std::env::var` does.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable, problems: Vec::new() }
    }

    /// `value` if nothing at all was wrong with the environment, and everything that was wrong otherwise.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, ConfigErrors> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(ConfigErrors(self.problems)),
        }
    }

    /// Notes a problem: the variable's name, and what was expected. Never its value.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// A variable, where it is set and not empty.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// A variable that must be set; `expected` says to what.
    pub fn required(&mut self, name: &str, expected: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(format!("{name}: is not set; expected {expected}"));
        }
        value
    }

    /// Where the application listens: `PORT` on `BIND_ADDRESS`, with TLS where both files are named.
    pub fn listen(&mut self) -> Option<Listen> {
        let application = self.socket("PORT");
        let tls = match (self.optional("TLS_CERT_FILE"), self.optional("TLS_KEY_FILE")) {
            (Some(certificate), Some(key)) => {
                Some(ServerCertificate { certificate: certificate.into(), key: key.into() })
            }
            (None, None) => None,
            _ => {
                self.problem("TLS_CERT_FILE and TLS_KEY_FILE: only one of them is set; set both, or neither");
                return None;
            }
        };
        Some(Listen { application: application?, tls })
    }

    /// The named port on `BIND_ADDRESS`. A bad address is reported once, with the application's own port.
    pub fn socket(&mut self, port_name: &str) -> Option<SocketAddr> {
        let address = match self.optional("BIND_ADDRESS").map(|text| text.parse::<IpAddr>()) {
            None => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Some(Ok(address)) => Some(address),
            Some(Err(_)) => {
                if port_name == "PORT" {
                    self.problem("BIND_ADDRESS: is not an IP address");
                }
                None
            }
        };
        let text = self.required(port_name, "a TCP port")?;
        match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(SocketAddr::new(address?, port)),
            _ => {
                self.problem(format!("{port_name}: is not a TCP port from 1 to 65535"));
                None
            }
        }
    }

    /// `PUBLIC_URL`: where people and agents reach the application.
    pub fn public_url(&mut self) -> Option<Url> {
        let text = self.required("PUBLIC_URL", "https://name")?;
        match Url::parse(&text) {
            Ok(url) if url.scheme() == "https" && url.has_host() => Some(url),
            _ => {
                self.problem("PUBLIC_URL: is not an https URL with a host");
                None
            }
        }
    }

    /// `TRUSTED_PROXIES`: the networks of the edge hosts, separated by commas, whose word counts for who the client is.
    /// None where it is not set.
    pub fn trusted_proxies(&mut self) -> Vec<IpNet> {
        self.networks("TRUSTED_PROXIES")
    }

    /// Addresses and networks, separated by commas. None where the variable is not set.
    pub fn networks(&mut self, name: &str) -> Vec<IpNet> {
        let text = self.optional(name).unwrap_or_default();
        let network = |part: &str| part.parse().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks: Option<Vec<IpNet>> = parts.map(network).collect();
        networks.unwrap_or_else(|| {
            self.problem(format!("{name}: is not a list of addresses and networks with commas between"));
            Vec::new()
        })
    }

    /// `PRIVATE_CA_FILE`: the authority that signs the private hops' certificates.
    pub fn private_ca(&mut self) -> Option<PrivateCa> {
        let name = "PRIVATE_CA_FILE";
        let path = self.required(name, "the PEM file of the authority that signs the private hops")?;
        self.authorities(name, &path)
    }

    /// `EXTRA_CA_FILE`: authorities that are trusted beside the public ones for services outside the platform. None
    /// where it is not set.
    pub fn extra_authorities(&mut self) -> Vec<CertificateDer<'static>> {
        let name = "EXTRA_CA_FILE";
        let path = self.optional(name);
        path.and_then(|path| self.authorities(name, &path)).map_or_else(Vec::new, |ca| ca.certificates)
    }

    /// `SENTRY_DSN`: where errors are reported to, `https://KEY@host/PROJECT`. Its key is no secret, and it has no other.
    pub fn sentry_dsn(&mut self) -> Option<Dsn> {
        let name = "SENTRY_DSN";
        let text = self.optional(name)?;
        let dsn = text.parse::<Dsn>().ok();
        let dsn = dsn.filter(|dsn| dsn.scheme() == Scheme::Https && dsn.secret_key().is_none());
        if dsn.is_none() {
            self.problem(format!("{name}: is not https://KEY@host/PROJECT, without a password"));
        }
        dsn
    }

    fn authorities(&mut self, name: &str, path: &str) -> Option<PrivateCa> {
        let pem = self.file(name, Path::new(path))?;
        match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
            Ok(certificates) if !certificates.is_empty() => Some(PrivateCa { pem, certificates }),
            Ok(_) => {
                self.problem(format!("{name}: {path} holds no PEM certificate"));
                None
            }
            Err(error) => {
                self.problem(format!("{name}: {path} is not a PEM file of certificates: {error}"));
                None
            }
        }
    }

    /// `{prefix}_URL` and `{prefix}_PASSWORD_FILE`: a database.
    pub fn database(&mut self, prefix: &str) -> Option<DatabaseEndpoint> {
        let name = format!("{prefix}_URL");
        let password = self.secret(&format!("{prefix}_PASSWORD_FILE"));
        let url = self.endpoint(&name, "postgres://role@host:port/database", &["postgres", "postgresql"])?;
        // Verification is not negotiable: the one spelling of it is accepted, and no other option is.
        if url.query_pairs().any(|(key, value)| (key.as_ref(), value.as_ref()) != ("sslmode", "verify-full"))
        {
            self.problem(format!(
                "{name}: options are not accepted; the connection is always sslmode=verify-full"
            ));
            return None;
        }
        let database = url.path().trim_start_matches('/').to_owned();
        if database.is_empty() || database.contains('/') {
            self.problem(format!("{name}: names no database; expected postgres://role@host:port/database"));
            return None;
        }
        let (host, port) = host_and_port(&url)?;
        Some(DatabaseEndpoint { host, port, user: url.username().to_owned(), password: password?, database })
    }

    /// `{prefix}_URL` and `{prefix}_PASSWORD_FILE`: a Valkey.
    pub fn valkey(&mut self, prefix: &str) -> Option<ValkeyEndpoint> {
        let name = format!("{prefix}_URL");
        let password = self.secret(&format!("{prefix}_PASSWORD_FILE"));
        let url = self.endpoint(&name, "rediss://user@host:port", &["rediss"])?;
        if !matches!(url.path(), "" | "/" | "/0") || url.query().is_some() {
            self.problem(format!("{name}: names a database or options; an instance is used as a whole"));
            return None;
        }
        let (host, port) = host_and_port(&url)?;
        Some(ValkeyEndpoint { host, port, user: url.username().to_owned(), password: password? })
    }

    /// A URL with one of `schemes`, a user, a host, a port and no password.
    fn endpoint(&mut self, name: &str, form: &str, schemes: &[&str]) -> Option<Url> {
        let text = self.required(name, form)?;
        let Ok(url) = Url::parse(&text) else {
            self.problem(format!("{name}: is not a URL; expected {form}"));
            return None;
        };
        let before = self.problems.len();
        if url.password().is_some() {
            let file = name.replace("_URL", "_PASSWORD_FILE");
            self.problem(format!("{name}: carries a password; put it in a file and name the file in {file}"));
        }
        if !schemes.contains(&url.scheme()) {
            self.problem(format!("{name}: its scheme is not {}; expected {form}", schemes[0]));
        } else if url.username().is_empty() || host_and_port(&url).is_none() {
            self.problem(format!("{name}: lacks a user, host or port; expected {form}"));
        } else if url.username().contains('%') {
            self.problem(format!(
                "{name}: its user has characters that need escaping; use letters, digits, '_' and '-'"
            ));
        }
        (self.problems.len() == before).then_some(url)
    }

    /// The secret in the file that the variable names.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        let path = self.required(name, "the path of a file that holds the password")?;
        let bytes = self.file(name, Path::new(&path))?;
        let text = String::from_utf8(bytes).ok().map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        match text {
            Some(text) if !text.is_empty() => Some(Secret(text)),
            Some(_) => {
                self.problem(format!("{name}: {path} is empty"));
                None
            }
            None => {
                self.problem(format!("{name}: {path} is not UTF-8 text"));
                None
            }
        }
    }

    /// `SECRET_KEY_FILE`: at least 32 bytes, from which keys are derived.
    pub fn secret_key(&mut self) -> Option<Secret> {
        let name = "SECRET_KEY_FILE";
        let secret = self.secret(name)?;
        if secret.expose().len() < 32 {
            self.problem(format!(
                "{name}: the file holds less than 32 bytes; write a long random text into it"
            ));
            return None;
        }
        Some(secret)
    }

    /// `SEALING_KEYS_FILE`: a key a line, the one that seals first.
    pub fn sealing_keys(&mut self) -> Option<Arc<KeyRing>> {
        let name = "SEALING_KEYS_FILE";
        let text = self.secret(name)?;
        match KeyRing::parse(text.expose()) {
            Ok(keys) => Some(Arc::new(keys)),
            Err(error) => {
                self.problem(format!("{name}: {error}"));
                None
            }
        }
    }

    fn file(&mut self, name: &str, path: &Path) -> Option<Vec<u8>> {
        match std::fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.problem(format!("{name}: cannot read {}: {error}", path.display()));
                None
            }
        }
    }
}

/// The URL's host without the brackets of an IPv6 address, and its port. Neither has a default.
fn host_and_port(url: &Url) -> Option<(String, u16)> {
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| host.to_owned()).zip(url.port())
}

#[cfg(test)]
mod tests {
    use super::{Reader, Secret};

    #[test]
    fn trusted_proxies_are_addresses_and_networks() {
        let of = |text: &'static str| {
            let variable = move |_: &str| Some(text.to_owned());
            let mut reader = Reader::new(&variable);
            let networks = reader.trusted_proxies();
            reader
                .finish(Some(networks))
                .ok()
                .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(of(""), Some(vec![]));
        assert_eq!(
            of("10.0.0.10, 10.1.0.0/16"),
            Some(vec!["10.0.0.10/32".to_owned(), "10.1.0.0/16".to_owned()])
        );
        assert_eq!(of("10.0.0.10 10.0.0.11"), None);
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        assert!(!format!("{:?}", Secret("hunter2".to_owned())).contains("hunter2"));
    }
}
