//! The login providers of the lab's world: Google, GitHub, Microsoft and Apple, who know the platform's issuer as their client.

use std::fs;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

use crate::addresses::Addresses;
use crate::certificates::{self, Certificates};
use crate::command::{self, run};
use crate::error::{LabError, Result, file_error};
use crate::host;
use crate::image::Image;
use crate::lab::Lab;
use crate::machine::{Machine, OwnFile, Program};
use crate::names;
use crate::paths;
use crate::spec::LabSpec;
use crate::world::{self, HTTPS};

/// The machine's name.
pub(crate) const NAME: &str = "providers";
/// Their program, which lies beside the one that runs.
const PROGRAM: &str = "login-providers";

const INSTALLED: &str = "/usr/local/bin/login-providers";
const CONFIGURATION: &str = "/etc/login-providers/world.toml";
const CERTIFICATE: &str = "/etc/login-providers/tls.pem";
const KEY: &str = "/etc/login-providers/tls.key";
/// By which they judge the issuer's certificate when they tell it something.
const AUTHORITIES: &str = "/etc/login-providers/authorities.pem";
const GOOGLE_SECRET: &str = "/etc/login-providers/google.secret";
const GITHUB_SECRET: &str = "/etc/login-providers/github.secret";
const MICROSOFT_CERTIFICATE: &str = "/etc/login-providers/microsoft.pem";
const APPLE_KEY: &str = "/etc/login-providers/apple.p8";
/// Where they are told what to do, inside their namespace only.
const CONTROL: &str = "127.0.0.1:8000";

const APPLE_KEY_ID: &str = "LABKEY0001";
const APPLE_TEAM_ID: &str = "LABTEAM001";

/// Names of the login providers.
const PROVIDERS: [&str; 4] = ["google", "github", "microsoft", "apple"];

/// A login provider of the lab, as the issuer is registered with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginProvider {
    /// Its name: `google`, `github`, `microsoft` or `apple`.
    pub name: &'static str,
    /// The name of its site.
    pub host: String,
    /// What it calls the issuer.
    pub client_id: String,
    /// How the issuer proves to it who asks.
    pub credential: LoginCredential,
}

/// How the issuer proves to a login provider who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginCredential {
    /// A secret, in a file.
    Secret(PathBuf),
    /// A certificate and its private key, PEM files.
    Certificate {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A key with which the issuer signs its own secrets.
    SigningKey {
        /// The PEM file.
        file: PathBuf,
        /// What the provider calls it.
        key_id: &'static str,
        /// Whose it is.
        team_id: &'static str,
    },
}

impl Lab {
    /// The login providers of the lab's world; none where the platform has no issuer.
    #[must_use]
    pub fn login_providers(&self) -> Vec<LoginProvider> {
        let credentials = Credentials::at(&self.operator_dir());
        let known = PROVIDERS.into_iter().filter(|_| self.spec.issuer.is_some());
        known
            .map(|name| LoginProvider {
                name,
                host: self::name(&self.spec, name),
                client_id: client_id(&self.spec, name),
                credential: credentials.of(name),
            })
            .collect()
    }

    /// The authorities (PEM text) of all certificates that this world shows: the login providers', the CDN's, and where there
    /// is no CDN the edge's.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when the ACME authority does not answer.
    pub fn public_authorities(&self) -> Result<String> {
        authorities(&self.spec, &self.certificates())
    }

    /// Tells the login providers what to do, or asks them: their answer to a request of their control.
    ///
    /// # Errors
    /// [`LabError::NotRunning`], or [`LabError::Command`] when they refuse.
    pub fn tell_login_providers(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let attempted = format!("tell the login providers {method} {path}");
        let not_running = || LabError::NotRunning { lab: self.spec.name.clone(), host: NAME.to_owned() };
        let (url, body) = (format!("http://{CONTROL}{path}"), body.to_string());
        let mut arguments = vec!["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "20"];
        arguments.extend(["--request", method, &url]);
        if method != "GET" {
            arguments.extend(["--header", "content-type: application/json", "--data-raw", &body]);
        }
        let mut command = machine(&self.spec).command(&arguments).ok_or_else(not_running)?;
        let output = command::output(&attempted, &mut command)?;
        command::succeeded(&attempted, &command, &output)?;
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }
}

/// The machine that they are on.
pub(crate) fn machine(spec: &LabSpec) -> Machine<'_> {
    Machine { lab: &spec.name, name: NAME, image: Image::World }
}

/// Their names and where they lead.
pub(crate) fn public_names(spec: &LabSpec) -> Vec<(Ipv4Addr, String)> {
    let address = Addresses::of(spec.public_network).providers;
    let known = PROVIDERS.into_iter().filter(|_| spec.issuer.is_some());
    known.map(|provider| (address, name(spec, provider))).collect()
}

/// A site that is not the platform's, as theirs is not: browsers keep cookies and more by the site.
fn name(spec: &LabSpec, provider: &str) -> String {
    format!("{provider}.{}-login.test", spec.name)
}

fn url(spec: &LabSpec, provider: &str) -> String {
    format!("https://{}", name(spec, provider))
}

fn client_id(spec: &LabSpec, provider: &str) -> String {
    format!("{}-at-{provider}", spec.name)
}

/// Starts them, in their namespace, and waits until they answer. The ACME authority must answer.
pub(crate) fn start(lab: &Lab) -> Result<()> {
    let spec = &lab.spec;
    let machine = machine(spec);
    machine.discard()?;
    let certificates = lab.certificates();
    let authorities = authorities(spec, &certificates)?;
    let credentials = Credentials::at(&lab.operator_dir());
    machine.prepare(|| {
        Ok(vec![
            OwnFile::public("/etc/hosts", names::file_of_world(spec)),
            OwnFile::public("/etc/resolv.conf", host::resolver(spec)?),
            OwnFile { path: INSTALLED, content: program()?, mode: 0o755 },
            OwnFile::public(CONFIGURATION, configuration(spec)),
            OwnFile::public(CERTIFICATE, certificates.read("providers.pem")?),
            OwnFile::secret(KEY, certificates.read("providers.key")?),
            OwnFile::public(AUTHORITIES, authorities),
            OwnFile::secret(GOOGLE_SECRET, credentials.read("google.secret")?),
            OwnFile::secret(GITHUB_SECRET, credentials.read("github.secret")?),
            OwnFile::public(MICROSOFT_CERTIFICATE, credentials.read("microsoft.pem")?),
            OwnFile::secret(APPLE_KEY, credentials.read("apple.p8")?),
        ])
    })?;
    machine.start(&Program::Serve { command: &[INSTALLED, "--config", CONFIGURATION], environment: &[] })?;
    let address = (Addresses::of(spec.public_network).providers, HTTPS).into();
    machine.wait_for("answer", || world::accepts(address))
}

fn program() -> Result<Vec<u8>> {
    let own = std::env::current_exe().map_err(file_error("find this program near", Path::new(PROGRAM)))?;
    let path = own.with_file_name(PROGRAM);
    fs::read(&path).map_err(file_error(
        "read the login providers' program (cargo build -p login-providers makes it)",
        &path,
    ))
}

fn authorities(spec: &LabSpec, certificates: &Certificates) -> Result<String> {
    let own = certificates.read("cdn-authority.pem")?;
    Ok(if spec.cdn { own } else { own + &world::collect_roots(spec, certificates)? })
}

/// Their file.
fn configuration(spec: &LabSpec) -> String {
    let issuer = spec.issuer.as_deref().unwrap_or_default();
    let client = |provider: &str, mut proof: Value| {
        proof["provider"] = provider.into();
        proof["client_id"] = client_id(spec, provider).into();
        proof["redirect_uris"] = json!([format!("https://{issuer}/callback/{provider}")]);
        proof
    };
    let notifications = format!("https://{issuer}/notifications/apple");
    let at: serde_json::Map<String, Value> =
        PROVIDERS.iter().map(|provider| ((*provider).to_owned(), url(spec, provider).into())).collect();
    let configuration = json!({
        "listen": [format!("0.0.0.0:{HTTPS}")],
        "control": CONTROL,
        "authority_file": AUTHORITIES,
        "at": at,
        "certificate": [{
            "names": PROVIDERS.map(|provider| name(spec, provider)),
            "certificate_file": CERTIFICATE,
            "key_file": KEY,
        }],
        "client": [
            client("google", json!({"secret_file": GOOGLE_SECRET})),
            client("github", json!({"secret_file": GITHUB_SECRET})),
            client("microsoft", json!({"certificate_file": MICROSOFT_CERTIFICATE})),
            client("apple", json!({
                "key_file": APPLE_KEY, "key_id": APPLE_KEY_ID, "team_id": APPLE_TEAM_ID,
                "notifications": notifications,
            })),
        ],
    });
    toml::to_string(&configuration).expect("texts and lists are TOML")
}

/// What the issuer proves to them who it is with, made once a lab, as files that only root may read.
#[derive(Debug)]
pub(crate) struct Credentials {
    directory: PathBuf,
}

impl Credentials {
    /// Those of the lab whose operator has this directory.
    pub(crate) fn at(operator: &Path) -> Self {
        Self { directory: operator.join("login-providers") }
    }

    /// Makes all of them, unless they are there.
    pub(crate) fn ensure(&self, spec: &LabSpec) -> Result<()> {
        paths::make_once(&self.directory, |unfinished| {
            let write =
                |name: &str, text: &str| paths::write_file(&unfinished.join(name), text.as_bytes(), 0o600);
            write("google.secret", &secret()?)?;
            write("github.secret", &secret()?)?;
            let key = rsa_key()?;
            write("microsoft.pem", &certificate(&key, &client_id(spec, "microsoft"))?)?;
            write("microsoft.key", &key)?;
            write("apple.p8", &KeyPair::generate()?.serialize_pem())?;
            Ok(())
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn read(&self, name: &str) -> Result<String> {
        paths::read_file(&self.path(name))
    }

    fn of(&self, provider: &str) -> LoginCredential {
        match provider {
            "microsoft" => LoginCredential::Certificate {
                certificate: self.path("microsoft.pem"),
                key: self.path("microsoft.key"),
            },
            "apple" => LoginCredential::SigningKey {
                file: self.path("apple.p8"),
                key_id: APPLE_KEY_ID,
                team_id: APPLE_TEAM_ID,
            },
            _ => LoginCredential::Secret(self.path(&format!("{provider}.secret"))),
        }
    }
}

/// 32 random bytes.
fn secret() -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 32];
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(file_error("read", source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
}

/// An RSA key, which Microsoft wants, made by the tool that an operator would use.
fn rsa_key() -> Result<String> {
    let root = Image::World.path();
    let root = root.to_string_lossy();
    let arguments = [&*root, "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    run("make a key for the login provider Microsoft", "chroot", &arguments)
}

fn certificate(key: &str, name: &str) -> Result<String> {
    let key = KeyPair::from_pem(key)?;
    let mut parameters = certificates::within_validity(CertificateParams::default());
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok(parameters.self_signed(&key)?.pem())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LabSpec {
        let text = include_str!("../tests/support/lab.json");
        let spec: LabSpec = serde_json::from_str(text).unwrap();
        LabSpec { issuer: Some("id.bastide.test".to_owned()), ..spec }
    }

    #[test]
    fn they_are_at_a_site_of_their_own_and_know_the_issuer_alone() {
        let text = configuration(&spec());
        for line in [
            "google = \"https://google.bastide-login.test\"",
            "redirect_uris = [\"https://id.bastide.test/callback/microsoft\"]",
            "notifications = \"https://id.bastide.test/notifications/apple\"",
            "control = \"127.0.0.1:8000\"",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(text.matches("[[client]]").count(), 4);
        assert_eq!(public_names(&LabSpec { issuer: None, ..spec() }), []);
    }
}
