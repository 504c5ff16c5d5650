//! What a server's certificate says.

use super::{TlsSession, TlsVersion};
use rustls::pki_types::CertificateDer;
use rustls::{ProtocolVersion, SupportedCipherSuite};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Describes a session by what was agreed on and by the certificates that the server sent.
pub(in crate::probe) fn describe(
    version: ProtocolVersion,
    cipher: Option<SupportedCipherSuite>,
    alpn: Option<&[u8]>,
    chain: &[CertificateDer<'_>],
) -> TlsSession {
    let mut session = TlsSession {
        version: if version == ProtocolVersion::TLSv1_3 { TlsVersion::V1_3 } else { TlsVersion::V1_2 },
        cipher: cipher.map(|suite| format!("{:?}", suite.suite())).unwrap_or_default(),
        alpn: alpn.map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
        chain_length: chain.len(),
        subject: String::new(),
        issuer: String::new(),
        names: Vec::new(),
        not_before: 0,
        not_after: 0,
    };
    let parsed = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    if let Some((_, leaf)) = parsed {
        session.subject = leaf.subject().to_string();
        session.issuer = leaf.issuer().to_string();
        session.names = names(&leaf);
        session.not_before = leaf.validity().not_before.timestamp();
        session.not_after = leaf.validity().not_after.timestamp();
    }
    session
}

fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| std::net::Ipv4Addr::from(octets).to_string());
    let v6 = || <[u8; 16]>::try_from(bytes).map(|octets| std::net::Ipv6Addr::from(octets).to_string());
    v4.or_else(|_| v6()).ok()
}
