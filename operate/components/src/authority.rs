//! The platform's own certificate authority, for the hops between hosts.
//!
//! It lives in the operator's secrets and signs only names and addresses of the private network. It renews itself:
//! in the last third of its life a successor is made and trusted everywhere beside it, and a week later the
//! successor signs. Nobody ever meets a certificate of an authority that they do not trust yet.

use crate::secrets::{self, Secrets, SecretsError};
use bastide_converge::resource::{Certificate, Resource};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

const DAY: i64 = 86_400;
/// Life of an authority, in seconds.
const AUTHORITY_LIFETIME: i64 = 3650 * DAY;
/// Life of a certificate that the authority signs, in seconds.
pub const LEAF_LIFETIME: i64 = 90 * DAY;
/// How long a successor is trusted before it signs, in seconds.
const TRUSTED_BEFORE_SIGNING: i64 = 7 * DAY;
/// Certificates are valid this long before they are made, because clocks differ.
const CLOCK_DIFFERENCE: i64 = 3600;

/// The authority as it is now.
pub struct Authority {
    directory: PathBuf,
    current: Signer,
    trusted: Vec<String>,
}

/// A certificate with the key that signs for it.
struct Signer {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate signed by the authority, with its key.
#[derive(Clone)]
pub struct Leaf {
    /// The certificate (PEM).
    pub certificate: String,
    /// Its key (PKCS #8 PEM); a secret.
    pub key: String,
}

/// A certificate that a host needs, and who reads its key there.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Short name; the files are `<directory>/<name>.pem` and `<directory>/<name>.key`.
    pub name: &'a str,
    /// Directory of both files.
    pub directory: &'a str,
    /// DNS names and addresses that it must cover; the first is the subject.
    pub names: &'a [String],
    /// Owner of the key.
    pub owner: &'a str,
    /// Group of the key.
    pub group: &'a str,
    /// Permission bits of the key, for example `0o640`.
    pub key_mode: u32,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.directory.display())
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaf(…)")
    }
}

impl Authority {
    /// Opens the authority among `secrets`, makes it where there is none, and renews it where it is old.
    ///
    /// `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When its files cannot be read or written, are readable by others, or hold something else.
    pub fn open(secrets: &Secrets, now: i64) -> Result<Self, SecretsError> {
        let directory = secrets.directory();
        let _lock = secrets::lock(directory)?;
        renew(directory, now)?;
        let current = read_signer(directory)?;
        let mut trusted = vec![current.certificate.clone()];
        for slot in [Slot::Next, Slot::Previous] {
            let path = slot.file(directory);
            if let Some(content) = read_text(&path)?
                && validity(&path, &content)?.1 > now
            {
                trusted.push(split(&content).0.to_owned());
            }
        }
        Ok(Self { directory: directory.to_owned(), current, trusted })
    }

    /// Certificate (PEM) of the authority that signs now.
    pub fn certificate(&self) -> &str {
        &self.current.certificate
    }

    /// Every certificate (PEM) that hosts trust: the present authority, its successor, its predecessor.
    pub fn trust_bundle(&self) -> String {
        self.trusted.concat()
    }

    /// Signs a certificate for `names`, valid from `now` for `lifetime` seconds.
    ///
    /// # Errors
    /// When a name is no DNS name or address.
    pub fn issue(&self, names: &[String], lifetime: i64, now: i64) -> Result<Leaf, SecretsError> {
        let failed = |error: rcgen::Error| {
            let reason = format!("no certificate for {}: {error}", names.join(", "));
            SecretsError::new("sign with the authority", &self.directory, reason)
        };
        let mut parameters = CertificateParams::new(names.to_vec()).map_err(failed)?;
        if let Some(subject) = names.first() {
            parameters.distinguished_name = rcgen::DistinguishedName::new();
            parameters.distinguished_name.push(DnType::CommonName, subject.as_str());
        }
        parameters.not_before = at(now - CLOCK_DIFFERENCE);
        parameters.not_after = at(now + lifetime);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let certificate = parameters.signed_by(&key, &self.current.issuer).map_err(failed)?;
        Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// The resource that keeps such a certificate on a host; whatever uses it restarts by it.
    ///
    /// # Errors
    /// As for [`Authority::issue`].
    pub fn resource(&self, component: &str, wanted: &Wanted<'_>, now: i64) -> Result<Resource, SecretsError> {
        let leaf = self.issue(wanted.names, LEAF_LIFETIME, now)?;
        let certificate = Certificate {
            name: wanted.name.to_owned(),
            directory: wanted.directory.to_owned(),
            names: wanted.names.to_vec(),
            authority: self.certificate().to_owned(),
            certificate: leaf.certificate,
            key: leaf.key,
            owner: wanted.owner.to_owned(),
            group: wanted.group.to_owned(),
            key_mode: wanted.key_mode,
        };
        Ok(Resource::new(component, certificate))
    }
}

/// Which authority a file holds: its certificate, followed by its key where it may still sign.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Current,
    Next,
    Previous,
}

impl Slot {
    fn file(self, directory: &Path) -> PathBuf {
        directory.join(match self {
            Slot::Current => "authority.pem",
            Slot::Next => "authority-next.pem",
            Slot::Previous => "authority-previous.pem",
        })
    }
}

/// Makes the authority, its successor, or the successor the authority, whichever is due.
fn renew(directory: &Path, now: i64) -> Result<(), SecretsError> {
    let current = Slot::Current.file(directory);
    let Some(authority) = read_text(&current)? else {
        return make(directory, Slot::Current, now);
    };
    let (from, until) = validity(&current, &authority)?;
    if now <= until - (until - from) / 3 {
        return Ok(());
    }
    let next = Slot::Next.file(directory);
    let Some(successor) = read_text(&next)? else {
        make(directory, Slot::Next, now)?;
        return if now > until { succeed(directory, &authority) } else { Ok(()) };
    };
    let trusted_since = validity(&next, &successor)?.0 + CLOCK_DIFFERENCE;
    if now > until || now - trusted_since >= TRUSTED_BEFORE_SIGNING {
        return succeed(directory, &authority);
    }
    Ok(())
}

/// Puts the successor in the authority's place; the predecessor keeps its certificate and loses its key.
fn succeed(directory: &Path, authority: &str) -> Result<(), SecretsError> {
    let (certificate, _) = split(authority);
    secrets::replace(&Slot::Previous.file(directory), certificate.as_bytes())?;
    let to = Slot::Current.file(directory);
    std::fs::rename(Slot::Next.file(directory), &to)
        .map_err(|error| SecretsError::new("put the new authority in place", &to, error))
}

fn make(directory: &Path, slot: Slot, now: i64) -> Result<(), SecretsError> {
    let path = slot.file(directory);
    let failed = |error: rcgen::Error| SecretsError::new("make an authority", &path, error);
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    // The year keeps an authority and its successor apart for people who read a chain.
    let name = format!("Bastide private authority {}", at(now).year());
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = at(now - CLOCK_DIFFERENCE);
    parameters.not_after = at(now + AUTHORITY_LIFETIME);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    secrets::replace(&path, format!("{}{}", certificate.pem(), key.serialize_pem()).as_bytes())
}

fn read_signer(directory: &Path) -> Result<Signer, SecretsError> {
    let path = Slot::Current.file(directory);
    let failed = |error: &dyn std::fmt::Display| {
        SecretsError::new("read the authority", &path, format!("{error}; remove it to make a new authority"))
    };
    let content = read_text(&path)?.ok_or_else(|| failed(&"it is gone"))?;
    let (certificate, key) = split(&content);
    let key = KeyPair::from_pem(key).map_err(|error| failed(&error))?;
    let issuer = Issuer::from_ca_cert_pem(certificate, key).map_err(|error| failed(&error))?;
    Ok(Signer { certificate: certificate.to_owned(), issuer })
}

/// The certificate and the key of an authority's file.
fn split(content: &str) -> (&str, &str) {
    content.split_at(content.find("-----BEGIN PRIVATE KEY").unwrap_or(content.len()))
}

fn read_text(path: &Path) -> Result<Option<String>, SecretsError> {
    let text = |bytes| {
        String::from_utf8(bytes).map_err(|error| SecretsError::new("read the authority", path, error))
    };
    secrets::read_private(path)?.map(text).transpose()
}

/// From when and until when a certificate is valid, in seconds since 1970.
fn validity(path: &Path, pem: &str) -> Result<(i64, i64), SecretsError> {
    let failed = |error: &dyn std::fmt::Display| {
        let reason = format!("no certificate: {error}; remove it to make a new authority");
        SecretsError::new("read the authority", path, reason)
    };
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|error| failed(&error))?;
    let certificate = block.parse_x509().map_err(|error| failed(&error))?;
    let validity = certificate.validity();
    Ok((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
