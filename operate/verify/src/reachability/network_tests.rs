//! The platform's network in namespaces of its own, with firewalls made from the flows; then each thing broken.

use super::*;
use crate::probe::{Finding, ListenBriefly, Probe, answer, finding};
use crate::{BoxFuture, Limits, Place, ProbeError, Report, Status, fixture};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::sync::Arc;

const CHILD: &str = "reachability::network_tests::answers_the_probe_in_its_environment";
const TEST: &str = "reachability::network_tests::every_breach_is_seen_where_it_is";
const MARK: &str = "ANSWER ";

/// What runs in the namespaces: this very test, when a probe is in its environment.
#[tokio::test]
#[ignore = "needs root and network namespaces; part of another test"]
async fn answers_the_probe_in_its_environment() {
    let Ok(probe) = std::env::var("BASTIDE_TEST_PROBE") else { return };
    println!("\n{MARK}{}", answer(serde_json::from_str(&probe).unwrap()).await);
}

/// A network namespace.
struct Namespace(&'static str);

impl Namespace {
    fn command(&self, probe: &Probe) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", self.0]).arg(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", CHILD]);
        command.env("BASTIDE_TEST_PROBE", serde_json::to_string(probe).unwrap());
        command.stdout(Stdio::piped()).kill_on_drop(true);
        command
    }
}

impl Place for Namespace {
    fn probe(&self, probe: Probe) -> BoxFuture<'_, Result<Finding, ProbeError>> {
        Box::pin(async move {
            let output = self.command(&probe).output().await.unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let answer = text.lines().find_map(|line| line.strip_prefix(MARK)).expect("an answer");
            finding(serde_json::from_str(answer).unwrap())
        })
    }
}

fn sh(script: &str) {
    let output = std::process::Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the test again where it may make networks that vanish with it.
fn alone() -> bool {
    if std::env::var_os("BASTIDE_TEST_NAMESPACE").is_some() {
        return true;
    }
    let mut command = std::process::Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["--propagation", "private"]).arg(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", TEST]).env("BASTIDE_TEST_NAMESPACE", "1");
    assert!(command.status().unwrap().success());
    false
}

/// Five hosts, two clients and a CDN on two bridges.
fn build() {
    let platform = fixture::platform();
    let lab = platform.settings.lab.as_ref().unwrap();
    let at = |offset: u32| Ipv4Addr::from(u32::from(lab.network.network()) + offset);
    let edge = platform.edge().public_address.unwrap();
    let mut script = "mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns; ip link set lo up\n\
                      ip link add internet type bridge; ip link set internet up\n\
                      ip link add private type bridge; ip link set private up\n"
        .to_owned();
    let mut cable = |place: &str, bridge: &str, interface: &str, address: Ipv4Addr| {
        let _ = write!(
            script,
            "[ -e /run/netns/{place} ] || ip netns add {place}; ip -n {place} link set lo up\n\
             ip link add {place}-{interface} type veth peer name {interface} netns {place}\n\
             ip link set {place}-{interface} master {bridge} up\n\
             ip -n {place} addr add {address}/24 dev {interface}; ip -n {place} link set {interface} up\n"
        );
    };
    for host in &platform.hosts {
        cable(host.name.as_str(), "private", "eth1", host.address);
    }
    cable("edge", "internet", "eth0", edge);
    let clients = [("client", at(50)), ("client2", at(51)), ("cdn", at(33)), ("operator", lab.operator())];
    for (client, address) in clients {
        cable(client, "internet", "eth0", address);
    }
    for (client, _) in clients {
        let _ = writeln!(script, "ip -n {client} route add {} via {edge}", platform.private_network);
    }
    for host in platform.hosts.iter().filter(|host| host.public_address.is_none()) {
        let _ = writeln!(script, "ip -n {} route add default via {}", host.name, platform.edge().address);
    }
    script += "ip netns exec edge sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'\n";
    sh(&script);
}

/// Each host's firewall, from the flows and nothing else.
fn close() {
    let field = fixture::field();
    for host in &field.platform.hosts {
        let mut rules = "flush ruleset\ntable inet test {\nchain forward { type filter hook forward priority 0; policy drop; }\n\
                         chain input { type filter hook input priority 0; policy drop; iif lo accept; \
                         ct state established,related accept;\n"
            .to_owned();
        for allowed in field.allowed.iter().filter(|allowed| allowed.to == host.name) {
            let _ = writeln!(rules, "ip saddr {} tcp dport {} accept", allowed.from, allowed.port.number);
        }
        sh(&format!("ip netns exec {} nft -f - <<'EOF'\n{rules}}}\n}}\nEOF", host.name));
    }
}

/// Services that stay until the test ends.
fn serve(host: &'static str, ports: &[u16]) -> tokio::process::Child {
    let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let probe = ListenBriefly { address: everywhere, ports: ports.to_vec(), lease_ms: 600_000 };
    Namespace(host).command(&Probe::ListenBriefly(probe)).spawn().unwrap()
}

fn field() -> Arc<Field> {
    let mut field = fixture::field();
    // Somewhere that the client does reach: the other client.
    let lab = field.platform.settings.lab.as_ref().unwrap();
    field.front.address = Ipv4Addr::from(u32::from(lab.network.network()) + 51).into();
    for (vantage, namespace) in [
        (Vantage::Internet, "client"),
        (Vantage::AnotherClient, "client2"),
        (Vantage::Cdn, "cdn"),
        (Vantage::Operator, "operator"),
        (Vantage::host("edge"), "edge"),
        (Vantage::host("app"), "app"),
        (Vantage::host("db"), "db"),
        (Vantage::host("cache"), "cache"),
        (Vantage::host("identity"), "identity"),
    ] {
        field = field.with(vantage, Arc::new(Namespace(namespace)));
    }
    Arc::new(field)
}

async fn run(except: &str) -> Report {
    let mut checks = checks(&fixture::platform());
    checks.retain(|check| except.is_empty() || !check.id.contains(except));
    crate::run(field(), checks, Limits::default(), |_| {}).await
}

/// Breaks something with a script, and expects exactly these checks to fail and to say so.
async fn breach(script: &str, expected: &[(&str, &str)]) {
    close();
    sh(script);
    let scans = expected.iter().any(|(id, _)| id.contains("every-port"));
    let report = run(if scans { "" } else { "every-port" }).await;
    let failed: Vec<_> = report.checks.iter().filter(|check| check.status != Status::Pass).collect();
    let ids: Vec<&str> = failed.iter().map(|check| check.id.as_str()).collect();
    let expected_ids: Vec<&str> = expected.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, expected_ids, "{script}: {failed:#?}");
    for (check, (_, says)) in failed.iter().zip(expected) {
        assert!(check.evidence.contains(says), "{script}: {}", check.evidence);
    }
}

#[tokio::test]
#[ignore = "needs root, nftables and network namespaces"]
async fn every_breach_is_seen_where_it_is() {
    if !alone() {
        return;
    }
    build();
    close();
    let _services = [serve("edge", &[22, 80, 443]), serve("db", &[22, 5432]), serve("app", &[8080])];
    let report = run("").await;
    for check in &report.checks {
        assert_eq!(check.status, Status::Pass, "{check:#?}");
    }
    let evidence = |id: &str| &report.checks.iter().find(|check| check.id == id).unwrap().evidence;
    assert!(evidence("reachability/cdn-to-edge").starts_with("open: 80, 443;"));
    assert!(evidence("reachability/app-to-db").starts_with("open: 5432, 6432 (some proven by a temporary"));
    assert!(evidence("reachability/internet-to-db").starts_with("nothing open"));
    assert!(
        evidence("reachability/every-port-of-the-public-address").contains("none open; 65535 say nothing")
    );

    let nft = |host: &str, rule: &str| format!("ip netns exec {host} nft {rule}");
    let open = |host: &str, rule: &str| nft(host, &format!("insert rule inet test input {rule} accept"));
    breach(
        &open("db", "ip saddr 10.0.0.40 tcp dport 5432"),
        &[("reachability/cache-to-db", "10.0.0.30:5432 is open")],
    )
    .await;
    breach(
        &open("db", "ip saddr 10.0.0.40 tcp dport 6379"),
        &[("reachability/cache-to-db", "10.0.0.30:6379 is refused by the host, not dropped")],
    )
    .await;
    breach(
        &nft("db", "insert rule inet test input tcp dport 6432 drop"),
        &[("reachability/app-to-db", "10.0.0.30:6432 says nothing, and PgBouncer needs it")],
    )
    .await;
    breach(
        &nft("app", "insert rule inet test input ip saddr 10.0.0.10 tcp dport 8080 reject with tcp reset"),
        &[("reachability/edge-to-app", "8080 is refused although")],
    )
    .await;
    let way_in = [nft("edge", "insert rule inet test forward accept"), open("db", "tcp dport 22")].join("\n");
    let reached = |id| (id, "10.0.0.30:22 is open");
    breach(
        &way_in,
        &[
            reached("reachability/internet-to-db"),
            reached("reachability/another-client-to-db"),
            reached("reachability/cdn-to-db"),
            reached("reachability/app-to-db"),
            reached("reachability/cache-to-db"),
            reached("reachability/identity-to-db"),
        ],
    )
    .await;
    breach(
        "ip -n db addr add 198.51.100.30/24 dev eth1",
        &[("reachability/one-public-address", "db has 198.51.100.30 on eth1")],
    )
    .await;
    sh("ip -n db addr del 198.51.100.30/24 dev eth1");
    breach(
        &open("edge", "ip saddr 198.51.100.50 tcp dport 40000"),
        &[("reachability/every-port-of-the-public-address", "they answer: 40000")],
    )
    .await;
}
