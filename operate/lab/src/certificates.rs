//! The certificate authorities of the lab's world, made once a lab: who signs for the CDN and the login providers towards
//! browsers, for the ACME authority's own API, and for the certificate the CDN shows to the origin.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::addresses::Addresses;
use crate::error::Result;
use crate::paths;
use crate::providers;
use crate::spec::LabSpec;

/// Longer than any lab lives and short enough for every client that limits lifetimes.
const VALIDITY: Duration = Duration::days(180);

/// The certificates of a lab's world, as files.
#[derive(Debug)]
pub(crate) struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// The certificates below the lab's directory `lab`, made or to be made.
    pub(crate) fn at(lab: &Path) -> Self {
        Self { directory: lab.join("certificates") }
    }

    /// Path of one of the files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Content of one of the files.
    pub(crate) fn read(&self, name: &str) -> Result<String> {
        paths::read_file(&self.path(name))
    }

    /// Makes all certificates, unless they are there.
    pub(crate) fn ensure(&self, spec: &LabSpec) -> Result<()> {
        paths::make_once(&self.directory, |directory| make(directory, spec))
    }
}

/// Every authority with what it signs.
fn make(directory: &Path, spec: &LabSpec) -> Result<()> {
    let acme = SanType::IpAddress(IpAddr::V4(Addresses::of(spec.public_network).acme));
    let providers: Vec<String> = providers::public_names(spec).into_iter().map(|(_, name)| name).collect();
    let (server, client) = (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
    #[rustfmt::skip]
    let authorities = [
        // Whoever trusts this world's public sites trusts its login providers.
        ("cdn", "Lab CDN authority", server.clone(), vec![("cdn", spec.names.clone(), None), ("providers", providers, None)]),
        ("acme", "Lab ACME API authority", server, vec![("acme", vec![spec.acme_name()], Some(acme))]),
        ("origin-pull", "Lab CDN origin pull authority", client,
            vec![("origin-pull", vec!["origin-pull.cdn.test".to_owned()], None)]),
    ];
    for (prefix, name, purpose, signed) in authorities {
        let authority = authority(name)?;
        let file = directory.join(format!("{prefix}-authority.pem"));
        paths::write_file(&file, authority.pem().as_bytes(), 0o644)?;
        // A lab without login providers has no names for them.
        for (prefix, names, extra) in signed.into_iter().filter(|(_, names, _)| !names.is_empty()) {
            let mut parameters = leaf(names, purpose.clone())?;
            parameters.subject_alt_names.extend(extra);
            write_signed(directory, prefix, parameters, &authority)?;
        }
    }
    Ok(())
}

/// Writes a new key below `directory`, and its certificate.
fn write_signed(
    directory: &Path,
    prefix: &str,
    parameters: CertificateParams,
    authority: &CertifiedIssuer<'static, KeyPair>,
) -> Result<()> {
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, authority)?;
    let file = |suffix: &str| directory.join(format!("{prefix}.{suffix}"));
    paths::write_file(&file("pem"), certificate.pem().as_bytes(), 0o644)?;
    paths::write_file(&file("key"), key.serialize_pem().as_bytes(), 0o600)
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut parameters = within_validity(CertificateParams::default());
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?)
}

fn leaf(names: Vec<String>, purpose: ExtendedKeyUsagePurpose) -> Result<CertificateParams> {
    let common_name = names.first().cloned().unwrap_or_default();
    let mut parameters = within_validity(CertificateParams::new(names)?);
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![purpose];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

/// From now until long after the lab.
pub(crate) fn within_validity(mut parameters: CertificateParams) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - Duration::hours(1);
    parameters.not_after = now + VALIDITY;
    parameters
}
