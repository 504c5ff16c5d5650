//! TLS on the private hops: what the application shows to the edge, and how it verifies what it speaks to.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::environment::{PrivateCa, ServerCertificate};

/// Why a TLS configuration could not be built.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate or key file is missing or not PEM.
    #[error(
        "reading {what} from {path}: {source}; check that the file is there, is PEM and readable by this user"
    )]
    Unreadable {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: String,
        /// What was wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// The file has no certificate in it.
    #[error("reading the certificate from {path}: there is no certificate in it")]
    Empty {
        /// The file.
        path: String,
    },
    /// rustls refused the parts.
    #[error("building the TLS configuration: {0}; check that certificate and key belong together")]
    Refused(#[from] rustls::Error),
}

/// Verifies servers by the platform's own authority and by nothing else.
pub fn private_client(ca: &PrivateCa) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in &ca.certificates {
        roots.add(certificate.clone())?;
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// What the application shows to the edge: HTTP/2 preferred, HTTP/1.1 accepted.
pub fn server(files: &ServerCertificate) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Unreadable {
        what: "the private key",
        path: files.key.display().to_string(),
        source,
    })?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Accepts exactly the certificate that this container serves. `app health` asks its own container, whose certificate
/// may name a host other than the loopback or private address at which it is asked.
pub fn own_certificate(files: &ServerCertificate) -> Result<ClientConfig, TlsError> {
    let own = certificates(&files.certificate)?.swap_remove(0);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(OwnCertificate { own, provider });
    Ok(ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Unreadable {
            what: "the certificate",
            path: path.display().to_string(),
            source,
        })?;
    if chain.is_empty() { Err(TlsError::Empty { path: path.display().to_string() }) } else { Ok(chain) }
}

#[derive(Debug)]
struct OwnCertificate {
    own: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OwnCertificate {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.own {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(
                "the running application shows another certificate than the one in its file; restart it"
                    .to_owned(),
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
