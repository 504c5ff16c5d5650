//! What a client offers in a handshake, and by which authorities it judges the server.

use super::{ClientCertificate, TlsVersion, Trust};
use crate::probe::refusal::Ended;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use std::sync::Arc;

/// What a client offers in a handshake.
pub(in crate::probe) struct Offer<'a> {
    pub(in crate::probe) server_name: &'a str,
    pub(in crate::probe) trust: &'a Trust,
    /// 1.2 or 1.3; none offers both.
    pub(in crate::probe) only: Option<TlsVersion>,
    pub(in crate::probe) alpn: &'a [&'a str],
    pub(in crate::probe) client: Option<&'a ClientCertificate>,
}

impl Offer<'_> {
    /// The name that the certificate must be for.
    pub(in crate::probe) fn name(&self) -> Result<ServerName<'static>, Ended> {
        ServerName::try_from(self.server_name.to_owned())
            .map_err(|error| Ended::broken(format_args!("offering TLS to {}", self.server_name), error))
    }

    /// The offer as rustls takes it.
    pub(in crate::probe) fn config(&self) -> Result<ClientConfig, Ended> {
        let failed = |error: Error| Ended::broken("preparing a TLS client", error);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions())
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(verifier(self.trust, provider)?);
        let mut config = match self.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let (chain, key) = identity(client)?;
                builder.with_client_auth_cert(chain, key).map_err(failed)?
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(config)
    }

    fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        static ONLY_1_3: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
        static ONLY_1_2: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
        match self.only {
            Some(TlsVersion::V1_3) => &ONLY_1_3,
            Some(_) => &ONLY_1_2,
            None => rustls::ALL_VERSIONS,
        }
    }
}

fn verifier(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Ended> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Unchecked => return Ok(Arc::new(AnyCertificate(provider))),
        Trust::Public => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Trust::Authorities(pem) => {
            for certificate in certificates(pem)? {
                roots.add(certificate).map_err(|error| Ended::broken("reading an authority", error))?;
            }
        }
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map(|verifier| verifier as _).map_err(|error| Ended::broken("trusting authorities", error))
}

fn identity(
    client: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Ended> {
    let key = PrivateKeyDer::from_pem_slice(client.key.reveal().as_bytes())
        .map_err(|error| Ended::broken("reading a client's key", error))?;
    Ok((certificates(&client.chain)?, key))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Ended> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match certificates {
        Ok(found) if found.is_empty() => {
            Err(Ended::broken("reading a certificate", "the PEM text holds none"))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(Ended::broken("reading a certificate", error)),
    }
}

/// Takes any certificate, but not a forged handshake.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
