//! Offers of TLS 1.0 and 1.1, which no library of ours speaks: a ClientHello by hand, and the first answer to it.

use super::{TlsSession, TlsVersion};
use crate::probe::refusal::{Ended, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;

/// Offers nothing above `version`; a ServerHello is a session, whatever would follow.
pub(super) async fn offer(
    mut stream: TcpStream,
    server_name: &str,
    version: TlsVersion,
) -> Result<TlsSession, Ended> {
    let broke = |error: std::io::Error| {
        Ended::refused(
            Stage::Tls,
            format_args!("{} offered, and the server hung up: {error}", version.as_str()),
        )
    };
    stream.write_all(&client_hello(server_name, version)).await.map_err(broke)?;
    let mut header = [0; 5];
    stream.read_exact(&mut header).await.map_err(broke)?;
    let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut body).await.map_err(broke)?;
    match (header[0], body.as_slice()) {
        (ALERT, [_, description]) => Err(Ended::refused(
            Stage::Tls,
            format_args!("{} offered, alert {}", version.as_str(), alert(*description)),
        )),
        (HANDSHAKE, [SERVER_HELLO, _, _, _, 3, minor, ..]) => agreed(*minor, &body),
        (kind, _) => {
            Err(Ended::refused(Stage::Protocol, format_args!("a record of kind {kind} for an answer")))
        }
    }
}

fn agreed(minor: u8, hello: &[u8]) -> Result<TlsSession, Ended> {
    let version = match minor {
        1 => TlsVersion::V1_0,
        2 => TlsVersion::V1_1,
        3 => TlsVersion::V1_2,
        _ => return Err(Ended::refused(Stage::Protocol, format_args!("the server chose version 3.{minor}"))),
    };
    // After the version: 32 random bytes, the session id with its length, the suite.
    let suite = hello.get(38).and_then(|&id| hello.get(39 + usize::from(id)..41 + usize::from(id)));
    Ok(TlsSession {
        version,
        cipher: suite.map(|s| format!("0x{:02x}{:02x}", s[0], s[1])).unwrap_or_default(),
        alpn: None,
        chain_length: 0,
        subject: String::new(),
        issuer: String::new(),
        names: Vec::new(),
        not_before: 0,
        not_after: 0,
    })
}

fn alert(description: u8) -> String {
    match description {
        40 => "handshake_failure".to_owned(),
        70 => "protocol_version".to_owned(),
        71 => "insufficient_security".to_owned(),
        86 => "inappropriate_fallback".to_owned(),
        other => other.to_string(),
    }
}

fn client_hello(server_name: &str, version: TlsVersion) -> Vec<u8> {
    let minor = if version == TlsVersion::V1_0 { 1 } else { 2 };
    let mut hello = vec![3, minor];
    // Nobody completes this handshake, so its randomness protects nothing.
    hello.extend_from_slice(&[0x42; 32]);
    hello.push(0);
    // ECDHE and RSA with AES-CBC, which every server of that time had.
    hello
        .extend(sized(&[0xc0, 0x09, 0xc0, 0x0a, 0xc0, 0x13, 0xc0, 0x14, 0x00, 0x2f, 0x00, 0x35, 0x00, 0x0a]));
    hello.extend_from_slice(&[1, 0]);
    let mut extensions = Vec::new();
    if server_name.parse::<std::net::IpAddr>().is_err() {
        let entry = [&[0][..], &sized(server_name.as_bytes())].concat();
        extensions.extend(extension(0, &sized(&entry)));
    }
    extensions.extend(extension(10, &sized(&[0, 29, 0, 23, 0, 24])));
    extensions.extend(extension(11, &[1, 0]));
    // SHA-256 and SHA-1, with ECDSA and RSA: a modern server reads this before the version, and must not stumble.
    extensions.extend(extension(13, &sized(&[4, 3, 4, 1, 2, 3, 2, 1])));
    hello.extend(sized(&extensions));
    let length = hello.len() as u32;
    let message = [&[1][..], &length.to_be_bytes()[1..], &hello].concat();
    [&[HANDSHAKE, 3, 1][..], &sized(&message)].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized(body)].concat()
}

/// The bytes after their length in two bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}
