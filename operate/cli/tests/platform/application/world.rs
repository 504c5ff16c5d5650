//! Servers on the lab's internet, which the application reaches as it reaches those of customers: through the edge, by
//! TLS that it verifies.

use crate::stage::PLATFORM;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

/// An authority whom only those trust who are told to.
static AUTHORITY: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(|| {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
});

/// What came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A connection that somebody made, within TLS.
pub type Secure = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// What goes back: status, headers, body.
pub type Response = (u16, Vec<(&'static str, String)>, String);

impl Request {
    /// The first header of this name; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

/// The authority's certificate, PEM.
pub fn authority() -> String {
    AUTHORITY.pem()
}

/// Serves HTTPS at `address`, the second client's, until the tests end.
pub fn serve(address: &str, answer: impl Fn(&Request) -> Response + Send + 'static) {
    listen(address, 443, move |stream| exchange(stream, &answer));
}

/// Converses with whoever connects to the port of `address`, the second client's, one after the other, until the tests
/// end.
pub fn listen(address: &str, port: u16, converse: impl Fn(&mut Secure) -> io::Result<()> + Send + 'static) {
    let (ready, listening) = mpsc::channel();
    let address = address.to_owned();
    std::thread::spawn(move || {
        let place = format!("/run/netns/bastide-{}-client2", PLATFORM.name);
        let place = std::fs::File::open(place).unwrap();
        // This thread alone: its sockets belong to the place.
        move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let listener = TcpListener::bind((address.as_str(), port)).unwrap();
        let config = config(&address);
        ready.send(()).unwrap();
        for stream in listener.incoming().flatten() {
            // Who breaks a connection off is no reason to stop.
            let _ = secured(stream, &config).and_then(|mut stream| converse(&mut stream));
        }
    });
    listening.recv_timeout(Duration::from_secs(10)).unwrap();
}

fn config(address: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec![address.to_owned()]).unwrap();
    // By the name that all certificates have otherwise, it would seem to be its own authority.
    parameters.distinguished_name.push(rcgen::DnType::CommonName, address);
    let certificate = parameters.signed_by(&key, &AUTHORITY).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
}

fn secured(stream: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Secure> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    Ok(BufReader::new(StreamOwned::new(connection, stream)))
}

/// One request a connection.
fn exchange(stream: &mut Secure, answer: &impl Fn(&Request) -> Response) -> io::Result<()> {
    let request = read(stream)?;
    let (status, headers, body) = answer(&request);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
    let stream = stream.get_mut();
    stream.write_all((head + &body).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn read(stream: &mut Secure) -> io::Result<Request> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        Ok::<_, io::Error>(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: String::new() };
    let length = request.header("content-length").parse().unwrap_or(0);
    stream.take(length).read_to_string(&mut request.body)?;
    Ok(request)
}
