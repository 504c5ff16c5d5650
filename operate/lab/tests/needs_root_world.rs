//! The lab's world treats an edge as the real one would: proven with a real Caddy on the edge.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod support;

use std::process::Output;

use bastide_lab::Lab;
use support::{Fixture, alone, eventually, spec, text};

/// A WebSocket server that says one word.
const WEBSOCKET: &str = r#"
import base64, hashlib, re, socket
server = socket.create_server(("127.0.0.1", 9000))
while True:
    peer, _ = server.accept()
    request = peer.recv(65536).decode()
    key = re.search(r"(?i)sec-websocket-key: (\S+)", request).group(1)
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    answer = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    peer.sendall(answer.encode() + b"\x81\x05hello")
    peer.close()
"#;

/// What the origin sees, one line each.
const ECHO: &str = "remote={remote_host}\nconnecting={header.CF-Connecting-IP}\nevil={header.CF-Evil}\n\
    forwarded={header.X-Forwarded-For}\nproto={header.X-Forwarded-Proto}\nvisitor={header.CF-Visitor}\nhost={host}\n\
    certificate={tls_client_subject}\n";

/// A lab whose edge runs Caddy with a certificate of the lab's ACME authority and lets only the CDN in.
fn lab_with_a_site(name: &str) -> Fixture {
    let lab = Fixture::up(&spec(name));
    on_edge(
        &lab,
        "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install caddy >/dev/null",
    );
    put(&lab, "/etc/caddy/origin-pull.pem", &std::fs::read_to_string(lab.origin_pull_authority()).unwrap());
    put(&lab, "/etc/caddy/Caddyfile", &site(&lab, &format!("acme_ca {}", lab.acme_directory()), ""));
    put(&lab, "/root/websocket.py", WEBSOCKET);
    on_edge(&lab, "systemctl restart caddy && systemd-run --quiet python3 /root/websocket.py");
    eventually(60, || text(&visit(&lab, "client", "https", "/", &[])), |answer| answer.contains("remote="));
    lab
}

fn site(lab: &Lab, global: &str, tls: &str) -> String {
    format!(
        "{{\n{global}\n}}\n{} {{\n\
         tls {{\n{tls}\nclient_auth {{\nmode require_and_verify\ntrust_pool file /etc/caddy/origin-pull.pem\n}}\n}}\n\
         handle /ws {{\nreverse_proxy 127.0.0.1:9000\n}}\n\
         handle {{\nrespond <<ECHO\n{ECHO}ECHO 200\n}}\n}}\n",
        lab.spec().names.join(", ")
    )
}

fn on_edge(lab: &Lab, script: &str) {
    let output = lab.exec("edge", &["sh", "-c", script]).unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

fn put(lab: &Lab, file: &str, content: &str) {
    let output = lab.exec("edge", &["sh", "-c", "printf %s \"$2\" >\"$1\"", "sh", file, content]).unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A request to the site's first name from `place`, by this machine's curl.
fn visit(lab: &Lab, place: &str, scheme: &str, path: &str, options: &[&str]) -> Output {
    let url = format!("{scheme}://{}{path}", lab.spec().names[0]);
    let authority = lab.cdn_authority().display().to_string();
    let mut argv =
        vec!["curl", "--silent", "--show-error", "--include", "--max-time", "15", "--cacert", &authority];
    argv.extend(options);
    argv.push(&url);
    lab.world_exec(place, &argv).unwrap()
}

fn address_of(lab: &Lab, machine: &str) -> String {
    let machines = lab.status().machines;
    machines.iter().find(|status| status.name == machine).unwrap().addresses[0].to_string()
}

#[test]
#[ignore = "needs root"]
fn needs_root_the_cdn_treats_the_origin_as_the_real_one_does() {
    let _alone = alone();
    let lab = lab_with_a_site("t-cdn");
    what_the_origin_sees(&lab);
    let plain = text(&visit(&lab, "client", "http", "/", &[]));
    assert!(plain.contains("308 Permanent Redirect") && plain.contains("Location: https://"), "{plain}");
    only_the_cdn_is_let_in(&lab);

    let upgrade = [
        "--http1.1",
        "-N",
        "-HConnection: Upgrade",
        "-HUpgrade: websocket",
        "-HSec-WebSocket-Version: 13",
        "-HSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let socket = text(&visit(&lab, "client", "https", "/ws", &upgrade));
    assert!(socket.contains("101 Switching Protocols") && socket.contains("hello"), "{socket}");

    let url = format!("https://{}/", lab.spec().names[0]);
    let fast = text(&lab.exec("edge", &["curl", "--silent", "--include", "--http3-only", &url]).unwrap());
    assert!(fast.starts_with("HTTP/3 200"), "{fast}");

    let other = format!("http://{}/", address_of(&lab, "cdn"));
    let unknown = text(&lab.world_exec("client", &["curl", "--silent", "--include", &other]).unwrap());
    assert!(unknown.contains("409") && unknown.contains("error 1001"), "{unknown}");
    failures_have_their_codes(&lab);
}

fn what_the_origin_sees(lab: &Lab) {
    let lies = ["-HCF-Connecting-IP: 6.6.6.6", "-HCF-Evil: yes", "-HX-Forwarded-For: 7.7.7.7"];
    for place in ["client", "client2"] {
        let seen = text(&visit(lab, place, "https", "/", &lies));
        let network = lab.spec().public_network.network();
        let client = u32::from(network) + if place == "client" { 50 } else { 51 };
        let client = std::net::Ipv4Addr::from(client);
        let remote = seen.lines().find_map(|line| line.strip_prefix("remote=")).unwrap();
        assert!(lab.cdn_ranges()[0].contains(&remote.parse::<std::net::Ipv4Addr>().unwrap()), "{seen}");
        for expected in [
            format!("connecting={client}"),
            "evil=".to_owned(),
            format!("forwarded=7.7.7.7, {client}"),
            "proto=https".to_owned(),
            r#"visitor={"scheme":"https"}"#.to_owned(),
            format!("host={}", lab.spec().names[0]),
            "certificate=CN=origin-pull.cdn.test".to_owned(),
        ] {
            assert!(seen.lines().any(|line| line == expected), "no line {expected:?} in {seen}");
        }
    }
}

fn only_the_cdn_is_let_in(lab: &Lab) {
    let name = &lab.spec().names[0];
    let direct = format!("--connect-to={name}:443:{}:443", address_of(lab, "edge"));
    for place in ["client", "cdn"] {
        let refused = visit(lab, place, "https", "/", &["--insecure", &direct]);
        assert!(!refused.status.success(), "{place} was let in without the CDN's certificate: {refused:?}");
    }
}

fn failures_have_their_codes(lab: &Lab) {
    let status =
        || text(&visit(lab, "client", "https", "/", &[])).lines().next().unwrap_or_default().to_owned();
    on_edge(lab, "systemctl stop caddy");
    assert_eq!(status().trim(), "HTTP/2 521");
    lab.partition("edge", "cdn").unwrap();
    assert_eq!(status().trim(), "HTTP/2 522");
    lab.heal().unwrap();
    // A certificate of nobody the CDN knows.
    put(lab, "/etc/caddy/Caddyfile", &site(lab, "", "issuer internal"));
    on_edge(lab, "systemctl restart caddy");
    eventually(30, status, |line| line.trim() == "HTTP/2 526");

    // Another start of the authority has another root; what it signs is accepted all the same.
    let before = lab.issued_root().unwrap();
    lab.kill("acme").unwrap();
    lab.start("acme").unwrap();
    assert_ne!(lab.issued_root().unwrap(), before);
    on_edge(lab, "rm -rf /var/lib/caddy/.local/share/caddy");
    put(lab, "/etc/caddy/Caddyfile", &site(lab, &format!("acme_ca {}", lab.acme_directory()), ""));
    on_edge(lab, "systemctl restart caddy");
    eventually(60, status, |line| line.trim() == "HTTP/2 200");
}
