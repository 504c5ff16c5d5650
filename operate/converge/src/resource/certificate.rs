//! Certificates of the platform's own authority.

use super::file::{compare_ownership, set_ownership};
use crate::difference::Difference;
use crate::files::{self, Ownership};
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use rcgen::PublicKeyData;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

const DAY: i64 = 86_400;

/// A leaf certificate and its key, renewed in the last third of its life or when its names or authority change.
///
/// The operator's machine signs a fresh pair for every run; the agent installs it only where the present one will not
/// do. The directory has to exist. The key is replaced first and the certificate right after, each in one step; a run
/// that is killed in between leaves a pair that does not match, which the next run sees and replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Short name; the files are `<directory>/<name>.pem` and `<directory>/<name>.key`.
    pub name: String,
    /// Directory of both files.
    pub directory: String,
    /// DNS names and addresses that it must cover.
    pub names: Vec<String>,
    /// Certificate of the authority that must have signed it (PEM).
    pub authority: String,
    /// The fresh certificate (PEM), leaf first.
    pub certificate: String,
    /// Its key (PKCS #8 PEM).
    pub key: String,
    /// Owner of the key.
    pub owner: String,
    /// Group of the key.
    pub group: String,
    /// Permission bits of the key, for example `0o640`.
    pub key_mode: u32,
}

impl Certificate {
    fn certificate_path(&self) -> String {
        format!("{}/{}.pem", self.directory, self.name)
    }

    fn key_path(&self) -> String {
        format!("{}/{}.key", self.directory, self.name)
    }

    /// Why a pair will not do, at `now` in seconds since 1970; none where it will.
    fn fault(&self, certificate: &str, key: &str, now: i64) -> Result<Option<String>, ResourceError> {
        let unusable = |reason: &str| {
            ResourceError::Other(format!("the authority's certificate that came with {} {reason}", self.name))
        };
        let (_, authority) =
            parse_x509_pem(self.authority.as_bytes()).map_err(|_| unusable("is not in PEM form"))?;
        let authority = authority.parse_x509().map_err(|_| unusable("is not a certificate"))?;

        let Ok((rest, pem)) = parse_x509_pem(certificate.as_bytes()) else {
            return Ok(Some("its file holds no certificate".to_owned()));
        };
        let Ok(leaf) = pem.parse_x509() else {
            return Ok(Some("its file holds no certificate that can be read".to_owned()));
        };
        if !rest.trim_ascii().is_empty() {
            return Ok(Some("its file holds more than the certificate".to_owned()));
        }
        let key_matches = rcgen::KeyPair::from_pem(key)
            .is_ok_and(|pair| pair.der_bytes() == leaf.public_key().subject_public_key.data.as_ref());
        if !key_matches {
            return Ok(Some("the key does not belong to the certificate".to_owned()));
        }
        if leaf.verify_signature(Some(authority.public_key())).is_err()
            || leaf.issuer() != authority.subject()
        {
            return Ok(Some("signed by another authority".to_owned()));
        }
        Ok(self.names_fault(&leaf).or_else(|| age_fault(&leaf, now)))
    }

    fn names_fault(&self, leaf: &X509Certificate<'_>) -> Option<String> {
        let covered = names(leaf);
        let wanted: BTreeSet<String> = self.names.iter().map(|name| name.to_lowercase()).collect();
        let list = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
        let missing: Vec<&String> = wanted.difference(&covered).collect();
        let extra: Vec<&String> = covered.difference(&wanted).collect();
        match (missing.is_empty(), extra.is_empty()) {
            (true, true) => None,
            (false, _) => Some(format!("does not cover {}", list(missing))),
            (true, false) => Some(format!("still covers {}", list(extra))),
        }
    }
}

/// DNS names and addresses that a certificate covers.
fn names(leaf: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(alternative)) = leaf.subject_alternative_name() else { return BTreeSet::new() };
    alternative
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => name.to_lowercase(),
            GeneralName::IPAddress(bytes) => {
                match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                    (Ok(four), _) => IpAddr::from(four).to_string(),
                    (_, Ok(sixteen)) => IpAddr::from(sixteen).to_string(),
                    _ => format!("an address of {} bytes", bytes.len()),
                }
            }
            other => other.to_string(),
        })
        .collect()
}

/// Too young or too old: renewed in the last third, so that a month of failures goes by before anything breaks.
fn age_fault(leaf: &X509Certificate<'_>, now: i64) -> Option<String> {
    let (from, to) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    if now < from {
        return Some("not valid yet: is the host's clock right?".to_owned());
    }
    if now >= to {
        return Some(format!("expired {} days ago", (now - to) / DAY));
    }
    (now > to - (to - from) / 3).then(|| format!("expires in {} days", (to - now) / DAY))
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

impl Manage for Certificate {
    fn id(&self) -> ResourceId {
        ResourceId::new("certificate", &format!("{}/{}", self.directory, self.name))
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let (path, key_path) = (host.path(&self.certificate_path()), host.path(&self.key_path()));
        let (Some(metadata), Some(key_metadata)) = (files::metadata(&path)?, files::metadata(&key_path)?)
        else {
            return Ok(Observed::differs(Difference::new(format!("create, for {}", self.names.join(", ")))));
        };
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(ResourceError::io(format!("read {}", path.display())))
        };
        let (certificate, key) = (read(&path)?, read(&key_path)?);
        let mut findings: Vec<String> = self.fault(&certificate, &key, now())?.into_iter().collect();
        for finding in compare_ownership(host, &key_metadata, &self.owner, &self.group, self.key_mode)? {
            findings.push(format!("key: {finding}"));
        }
        for finding in compare_ownership(host, &metadata, "root", "root", 0o644)? {
            findings.push(format!("certificate: {finding}"));
        }
        Ok(match Difference::of(findings) {
            Some(difference) => Observed::differs(difference),
            None => Observed::same(files::sha256(certificate.as_bytes())),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        let (path, key_path) = (host.path(&self.certificate_path()), host.path(&self.key_path()));
        let ownership = host.ownership(&self.owner, &self.group, self.key_mode)?;
        if let (Ok(certificate), Ok(key)) =
            (std::fs::read_to_string(&path), std::fs::read_to_string(&key_path))
            && self.fault(&certificate, &key, now())?.is_none()
        {
            // Only an owner or a mode differs: a new pair would restart everything that uses it.
            set_ownership(&path, Ownership::root(0o644))?;
            return set_ownership(&key_path, ownership);
        }
        if let Some(fault) = self.fault(&self.certificate, &self.key, now())? {
            return Err(ResourceError::Other(format!(
                "the fresh certificate {} will not do either ({fault}); the old one stays: see that the clocks of the \
                 operator's machine and of this host agree, and apply again",
                self.name
            )));
        }
        files::replace(&key_path, self.key.as_bytes(), ownership)?;
        files::replace(&path, self.certificate.as_bytes(), Ownership::root(0o644))
    }

    fn traces(&self) -> Vec<PathBuf> {
        vec![PathBuf::from(self.certificate_path()), PathBuf::from(self.key_path())]
    }
}

#[cfg(test)]
mod tests;
