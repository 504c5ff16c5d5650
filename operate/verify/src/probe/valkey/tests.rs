//! Against a real Valkey (or Redis, which speaks the same), and servers that answer nonsense.

use super::*;
use crate::probe::testing::{Authority, HERE, serve_bytes};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server of its own, on ports of its own, until dropped.
struct Server {
    child: Child,
    port: u16,
    tls_port: u16,
    authority: Authority,
    _directory: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let free = || std::net::TcpListener::bind((HERE, 0)).unwrap();
        let (first, second) = (free(), free());
        let [port, tls_port] = [&first, &second].map(|listener| listener.local_addr().unwrap().port());
        drop((first, second));
        let authority = Authority::new();
        let (certificate, key) = authority.issue("cache.test");
        let path = |name: &str| directory.path().join(name).display().to_string();
        for (name, text) in [("ca", &authority.pem), ("crt", &certificate), ("key", &key)] {
            std::fs::write(path(name), text).unwrap();
        }
        std::fs::write(path("acl"), "user default off\nuser app on >right ~app:* +@all -@dangerous\n")
            .unwrap();
        let settings = [
            ("--bind", "127.0.0.1".to_owned()),
            ("--port", port.to_string()),
            ("--tls-port", tls_port.to_string()),
            ("--tls-cert-file", path("crt")),
            ("--tls-key-file", path("key")),
            ("--tls-ca-cert-file", path("ca")),
            ("--tls-auth-clients", "no".to_owned()),
            ("--aclfile", path("acl")),
            ("--maxmemory", "8mb".to_owned()),
            ("--maxmemory-policy", "noeviction".to_owned()),
            ("--save", String::new()),
            ("--dir", directory.path().display().to_string()),
        ];
        let child = ["valkey-server", "redis-server"]
            .into_iter()
            .find_map(|program| {
                let mut command = Command::new(program);
                settings.iter().for_each(|(name, value)| {
                    command.arg(name).arg(value);
                });
                command.stdout(Stdio::null()).spawn().ok()
            })
            .expect("Valkey or Redis is installed");
        let server = Self { child, port, tls_port, authority, _directory: directory };
        let up = async {
            while !matches!(attempt(Valkey::new(HERE, port).command(&["PING"])).await, Ok(s) if s.replies[0].error().is_some_and(|e| e.starts_with("NOAUTH")))
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), up).await.expect("the server comes up");
        server
    }

    fn app(&self) -> Valkey {
        Valkey::new(HERE, self.port).login("app", "right")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn attempt(probe: Valkey) -> Attempt<ValkeySession> {
    probe.execute().await.unwrap()
}

#[tokio::test]
#[ignore = "needs Valkey or Redis"]
async fn a_real_server_is_seen_as_it_is() {
    let server = Server::start().await;
    logins_are_told_apart(&server).await;
    replies_of_every_kind_come_back(&server).await;
    encryption_is_judged(&server).await;
    a_full_server_refuses(&server).await;
}

async fn logins_are_told_apart(server: &Server) {
    let nobody = attempt(Valkey::new(HERE, server.port).command(&["GET", "app:x"])).await.unwrap();
    assert!(nobody.replies[0].error().unwrap().starts_with("NOAUTH"), "{nobody:?}");
    let wrong = attempt(Valkey::new(HERE, server.port).login("app", "wrong")).await.unwrap_err();
    assert_eq!(wrong.stage, Stage::Authentication);
    assert!(wrong.reason.starts_with("WRONGPASS"), "{wrong}");
}

async fn replies_of_every_kind_come_back(server: &Server) {
    let probe = server
        .app()
        .command(&["SET", "app:x", "two\r\nlines"])
        .command(&["GET", "app:x"])
        .command(&["GET", "app:nothing"])
        .command(&["STRLEN", "app:x"])
        .command(&["MGET", "app:x", "app:nothing"])
        .command(&["FLUSHALL"])
        .command(&["GET", "other:x"]);
    let replies = attempt(probe).await.unwrap().replies;
    let text = || Reply::Text("two\r\nlines".to_owned());
    let expected = [
        Reply::Status("OK".to_owned()),
        text(),
        Reply::Nil,
        Reply::Integer(10),
        Reply::List(vec![text(), Reply::Nil]),
    ];
    assert_eq!(replies[..5], expected);
    for reply in &replies[5..] {
        assert!(reply.error().unwrap().starts_with("NOPERM"), "{reply:?}");
    }
}

async fn encryption_is_judged(server: &Server) {
    let encrypted =
        |trust, name| Valkey { port: server.tls_port, ..server.app() }.tls(trust, name).command(&["PING"]);
    let session = attempt(encrypted(server.authority.trust(), "cache.test")).await.unwrap();
    assert_eq!(session.replies[0].text(), Some("PONG"));
    let stranger = attempt(encrypted(Authority::new().trust(), "cache.test")).await.unwrap_err();
    assert_eq!(stranger.stage, Stage::Tls);
    let plain = attempt(Valkey { port: server.tls_port, ..server.app() }).await.unwrap_err();
    assert_eq!(plain.stage, Stage::Protocol);
}

async fn a_full_server_refuses(server: &Server) {
    let replies = attempt(server.app().fill("app:fill:", 200, 1_000).fill("app:full:", 1_000, 100_000))
        .await
        .unwrap()
        .replies;
    assert_eq!(replies[0], Reply::Filled { written: 200, refused: None });
    let Reply::Filled { written, refused: Some(error) } = &replies[1] else { panic!("{replies:?}") };
    assert!(*written < 100 && error.starts_with("OOM"), "{written}: {error}");
}

#[tokio::test]
async fn nonsense_and_lengths_beyond_belief_end_the_attempt() {
    for answer in ["HTTP/1.1 400\r\n", "$99999999999\r\n", "*-7\r\n", "+no end"] {
        let server = serve_bytes(answer.as_bytes().to_vec()).await;
        let probe = Valkey::new(server.ip(), server.port()).command(&["PING"]);
        assert_eq!(attempt(probe).await.unwrap_err().stage, Stage::Protocol, "{answer:?}");
    }
}
