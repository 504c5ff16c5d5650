//! The question that a container without a shell asks itself: whether its application is ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use foundation::environment::Listen;
use foundation::tls::{self, TlsError};

/// Longer than readiness takes to give up on a store.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// Why `app health` says no.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The own certificate could not be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No connection, or no TLS.
    #[error("asking {address} whether it is ready: {source}; is the application running?")]
    Unreachable {
        /// Where the application listens.
        address: SocketAddr,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The exchange broke.
    #[error("asking {address} whether it is ready: {source}")]
    Broken {
        /// Where the application listens.
        address: SocketAddr,
        /// What went wrong.
        source: hyper::Error,
    },
    /// Nothing within the limit.
    #[error("asking {address} whether it is ready: no answer within {} s", ASK_LIMIT.as_secs())]
    Late {
        /// Where the application listens.
        address: SocketAddr,
    },
    /// An answer other than 200.
    #[error("{address} answered {status}")]
    NotReady {
        /// Where the application listens.
        address: SocketAddr,
        /// The answer.
        status: StatusCode,
    },
}

/// Asks the application of the same environment for its readiness.
pub async fn ask(listen: &Listen) -> Result<(), HealthError> {
    let address = reachable(listen.application);
    match tokio::time::timeout(ASK_LIMIT, readiness(address, listen)).await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(status)) => Err(HealthError::NotReady { address, status }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(HealthError::Late { address }),
    }
}

/// Listening on every address is reached on the loopback one.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let address = match listening.ip() {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    SocketAddr::new(address, listening.port())
}

async fn readiness(address: SocketAddr, listen: &Listen) -> Result<StatusCode, HealthError> {
    let unreachable = |source| HealthError::Unreachable { address, source };
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    match &listen.tls {
        None => get_readyz(address, stream).await,
        Some(files) => {
            let connector = TlsConnector::from(Arc::new(tls::own_certificate(files)?));
            let name = ServerName::from(address.ip());
            get_readyz(address, connector.connect(name, stream).await.map_err(unreachable)?).await
        }
    }
}

async fn get_readyz(
    address: SocketAddr,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<StatusCode, HealthError> {
    let broken = |source| HealthError::Broken { address, source };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static("/readyz");
    Ok(sender.send_request(request).await.map_err(broken)?.status())
}
