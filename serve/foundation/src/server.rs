//! Accepts connections, with or without TLS, until told to stop, and then finishes what is in flight.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::middleware::AddExtension;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::Layer as _;

/// A peer that has not finished its handshake after this long never will.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Longer than the edge keeps an idle connection (two minutes), so that the edge closes first and never sends a
/// request into a connection that is being closed.
const IDLE_LIMIT: Duration = Duration::from_secs(180);
/// Headers of one request, in number and in bytes. Above what the border lets pass, so that what is a little too much
/// gets the border's answer; what is far too much gets hyper's.
const MOST_HEADERS: usize = 256;
const MOST_HEADER_BYTES: usize = 128 << 10;
/// What is in flight when told to stop may take this long. The platform kills after 20 s.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);
/// Pause before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` completes, then returns when every connection is finished or the drain limit has passed.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ServerConfig>,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let connections = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Handlers and the border learn from here who the client is. Around the router, not on its routes: those
                // would be copied for each connection.
                let service = Extension(ConnectInfo(peer)).layer(router.clone());
                tokio::spawn(connection(stream, acceptor.clone(), service, connections.watcher()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tracing::info!(connections = connections.count(), "stopping; finishing what is in flight");
    if tokio::time::timeout(DRAIN_LIMIT, connections.shutdown()).await.is_err() {
        tracing::warn!(seconds = DRAIN_LIMIT.as_secs(), "stopping with requests unfinished");
    }
}

/// The router for one peer.
type Service = AddExtension<Router, ConnectInfo<SocketAddr>>;

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, service: Service, watcher: Watcher) {
    // Small answers leave at once; where this fails, they leave later.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => exchange(stream, service, watcher).await,
        Some(acceptor) => match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => exchange(stream, service, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake was not finished in time"),
        },
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Service,
    watcher: Watcher,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_LIMIT)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(IDLE_LIMIT / 6)
        // An answer before the end of a request's body resets its stream. Their number counts for as long as a connection
        // lasts, and the edge's carries everybody's requests: ended for some, it would fail for all.
        .max_local_error_reset_streams(None::<usize>)
        .max_header_list_size(MOST_HEADER_BYTES as u32);
    let served =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::border::{self, Border, Limits};
    use crate::clock::{SystemClock, SystemRandomness};
    use crate::request::{Contexts, Edges, RequestContext};
    use crate::telemetry::{Metrics, Scrubber};
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Serves `GET /`, which says the client's address, and returns where.
    async fn start(edges: Edges) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(|context: RequestContext| async move { context.address.to_string() }));
        let contexts = Contexts {
            clock: Arc::new(SystemClock),
            randomness: Arc::new(SystemRandomness),
            edges,
            secrets: Scrubber::default(),
        };
        let metrics = Arc::new(Metrics::new("test", "1", "r"));
        let router = border::around(router, Border { contexts, metrics, limits: Limits::default() });
        tokio::spawn(serve(listener, None, router, std::future::pending()));
        address
    }

    /// What comes back for a request with this path and these further lines.
    async fn ask(address: SocketAddr, path: &str, lines: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn what_is_too_much_is_a_problem_over_a_real_connection() {
        let address = start(Edges::default()).await;
        let many = (0..150).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
        let long = format!("x-long: {}\r\n", "a".repeat(40 << 10));
        let path = format!("/?{}", "a".repeat(20 << 10));
        for (path, lines, status, code) in [
            ("/", many.as_str(), "431", "headers-too-large"),
            ("/", long.as_str(), "431", "headers-too-large"),
            (path.as_str(), "", "414", "uri-too-long"),
        ] {
            let answer = ask(address, path, lines).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
            assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
        }
    }

    #[tokio::test]
    async fn the_client_is_the_peer_unless_an_edge_says_otherwise() {
        let forwarded = "x-forwarded-for: 192.0.2.9\r\n";
        let stranger = start(Edges::default()).await;
        assert!(ask(stranger, "/", forwarded).await.ends_with("127.0.0.1"));
        let edge = start(Edges::new(vec!["127.0.0.0/8".parse().unwrap()])).await;
        assert!(ask(edge, "/", forwarded).await.ends_with("192.0.2.9"));
        assert!(ask(edge, "/", "").await.ends_with("127.0.0.1"));
    }
}
