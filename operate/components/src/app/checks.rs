//! What must be true of the application's container, and that it is reached and reaches what it needs.

use super::{NAME, SLOTS, UID};
use crate::Context;
use crate::probing::{about, judge_release, output, refuted};
use crate::source::Software;
use bastide_platform::{Host, OperatingSystem, Platform, Role};
use bastide_verify::probe::{Http, Reach, Trust};
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A host that runs the application.
struct Subject {
    host: String,
    os: OperatingSystem,
    address: IpAddr,
    edge: Vantage,
    trust: Trust,
    /// Whether the container's root must be read-only.
    read_only: bool,
}

pub(super) fn checks(context: &Context<'_>) -> Vec<Check> {
    let hosts = context.platform.hosts_with(Role::App);
    let mut checks: Vec<Check> = hosts.flat_map(|host| of_host(context, host)).collect();
    checks.push(end_to_end(context.platform));
    checks
}

fn of_host(context: &Context<'_>, host: &Host) -> Vec<Check> {
    let subject = Arc::new(Subject {
        host: host.name.to_string(),
        os: host.os,
        address: host.address.into(),
        edge: Vantage::host(&context.platform.edge().name),
        trust: Trust::Authorities(context.authority.trust_bundle()),
        read_only: context.platform.settings.app.read_only,
    });
    let place = (NAME, subject.host.as_str());
    vec![
        about(
            &subject,
            place,
            "app/one-container",
            "exactly one of the two slots runs, and no other container publishes a port",
            one_container,
        ),
        about(
            &subject,
            place,
            "app/confined",
            "its root is read-only, and it has no capability, no published port and no way to more privileges",
            confined,
        ),
        about(
            &subject,
            place,
            "app/speaks-tls",
            "the edge reaches exactly one slot, by TLS with a certificate of the platform's authority",
            speaks_tls,
        ),
        about(
            &subject,
            place,
            "app/metrics",
            "the slot that runs shows its metrics, among them that each of its stores answers",
            metrics,
        ),
        about(
            &subject,
            ("docker", subject.host.as_str()),
            "docker/version",
            "the running Docker is at least the oldest fit version",
            recent,
        ),
    ]
}

/// Names of the containers of the application that run, without the one that migrates.
async fn running(field: &Field, subject: &Subject) -> Result<Vec<String>, Failure> {
    let names = output(field, &subject.host, &["docker", "ps", "--format", "{{.Names}}"]).await?;
    let is_slot = |name: &&str| SLOTS.iter().any(|(slot, ..)| *name == format!("app-{slot}"));
    Ok(names.lines().filter(is_slot).map(str::to_owned).collect())
}

async fn one_container(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let running = running(&field, &subject).await?;
    let [name] = running.as_slice() else {
        return refuted(format!("{} slots run: {}", running.len(), running.join(", ")));
    };
    let ports =
        output(&field, &subject.host, &["docker", "ps", "--all", "--format", "{{.Names}} {{.Ports}}"])
            .await?;
    match ports.lines().find(|line| line.contains("->")) {
        Some(published) => refuted(format!("a port is published: {published}")),
        None => Ok(format!("{name} runs alone, and no container publishes a port")),
    }
}

/// What the engine says of a container, as far as it confines it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    state: InspectedState,
    host_config: HostConfig,
    config: InspectedConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    pid: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedConfig {
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    readonly_rootfs: bool,
    privileged: bool,
    network_mode: String,
    cap_add: Option<Vec<String>>,
    port_bindings: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The engine's word for what was asked, and the kernel's for what is.
async fn confined(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let running = running(&field, &subject).await?;
    let Some(name) = running.first() else { return refuted("no slot runs") };
    let json = output(&field, &subject.host, &["docker", "inspect", name]).await?;
    let inspected: Vec<Inspected> = serde_json::from_str(&json)
        .map_err(|error| Failure::Refuted(format!("docker inspect {name} has another shape: {error}")))?;
    let Some(container) = inspected.first() else { return refuted(format!("{name} is gone")) };
    let pid = container.state.pid;
    let status = output(&field, &subject.host, &["cat", &format!("/proc/{pid}/status")]).await?;
    let mounts = output(&field, &subject.host, &["cat", &format!("/proc/{pid}/mounts")]).await?;
    let complaints =
        [asked_too_much(container, subject.read_only), has_too_much(&status, &mounts, subject.read_only)]
            .concat();
    if complaints.is_empty() {
        Ok(format!("{name} (process {pid}) runs as user {UID} with no capability and a read-only root"))
    } else {
        refuted(format!("{name}: {}", complaints.join(", ")))
    }
}

/// What was asked of the engine beyond what is allowed.
fn asked_too_much(container: &Inspected, read_only: bool) -> Vec<String> {
    let asked = &container.host_config;
    let rules = [
        (read_only && !asked.readonly_rootfs, "its root is writable".to_owned()),
        (asked.privileged, "it is privileged".to_owned()),
        (asked.network_mode != "host", format!("its network is {}", asked.network_mode)),
        (asked.cap_add.as_ref().is_some_and(|added| !added.is_empty()), "capabilities were added".to_owned()),
        (
            asked.port_bindings.as_ref().is_some_and(|bound| !bound.is_empty()),
            "ports are published".to_owned(),
        ),
        (container.config.user != format!("{UID}:{UID}"), format!("it runs as {}", container.config.user)),
    ];
    rules.into_iter().filter_map(|(broken, complaint)| broken.then_some(complaint)).collect()
}

/// What the kernel lets its process do beyond what is allowed.
fn has_too_much(status: &str, mounts: &str, read_only: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    let uid = UID.to_string();
    for (field, fit) in [
        ("CapEff", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Uid", uid.as_str()),
    ] {
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let found = line.and_then(|line| line.split_whitespace().next()).unwrap_or("missing");
        if found != fit {
            complaints.push(format!("{field} is {found}"));
        }
    }
    let root = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        (words.nth(1)? == "/").then(|| words.nth(1).unwrap_or_default())
    });
    if read_only && !root.unwrap_or_default().split(',').any(|option| option == "ro") {
        complaints.push("the kernel has its root mounted writable".to_owned());
    }
    complaints
}

async fn speaks_tls(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let mut open = Vec::new();
    for (slot, port, _) in SLOTS {
        if field.connect(&subject.edge, subject.address, port).await? == Reach::Open {
            open.push((slot, port));
        }
    }
    let [(slot, port)] = open.as_slice() else {
        return refuted(format!("{} slots answer the edge", open.len()));
    };
    let address = SocketAddr::new(subject.address, *port);
    let probe = Http::get(&format!("https://{address}/readyz"), subject.trust.clone());
    let answer = field.http(&subject.edge, probe).await??;
    if answer.status != 200 {
        return refuted(format!("{slot} is not ready: {} {}", answer.status, answer.body));
    }
    match field
        .http(&subject.edge, Http::get(&format!("http://{address}/readyz"), subject.trust.clone()))
        .await?
    {
        Ok(plain) if plain.status < 400 => refuted(format!("{slot} answers in the clear: {}", plain.status)),
        _ => Ok(format!("{slot} is ready at {address} over TLS, and does not answer in the clear")),
    }
}

async fn recent(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let argv = ["docker", "version", "--format", "{{.Server.Version}}"];
    let said = output(&field, &subject.host, &argv).await?;
    judge_release(&field, (&subject.host, subject.os), Software::Docker, said.trim()).await
}

/// What people get: an application that can serve, reached through everything in between.
fn end_to_end(platform: &Platform) -> Check {
    let url = format!("{}/readyz", platform.url());
    let claim =
        "a request from the internet reaches an application whose database and both Valkeys answer it";
    Check::new("app/end-to-end", NAME, None, claim, move |field| {
        let url = url.clone();
        async move {
            let front = SocketAddr::new(field.front.address, 443);
            let probe = Http::get(&url, field.front.trust.clone()).at(front);
            let answer = field.http(&Vantage::Internet, probe).await??;
            if answer.status == 200 {
                Ok(format!("GET {url}: {}", answer.body.trim()))
            } else {
                refuted(format!("GET {url} was answered {} {}", answer.status, answer.body))
            }
        }
    })
}

async fn metrics(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let running = running(&field, &subject).await?;
    let of = |name: &str| SLOTS.into_iter().find(|(slot, ..)| name == format!("app-{slot}"));
    let Some((slot, _, port)) = running.first().and_then(|name| of(name)) else {
        return refuted("no slot runs");
    };
    let url = format!("http://{}/metrics", SocketAddr::new(subject.address, port));
    let probe = Http::get(&url, subject.trust.clone());
    let answer = field.http(&Vantage::host(&subject.host), probe).await??;
    if answer.status != 200 {
        return refuted(format!("GET {url} of {slot} was answered {} {}", answer.status, answer.body));
    }
    judge_metrics(&answer.body)
}

/// Samples in the text format of Prometheus; the reference application says in some of them whether its stores answer.
fn judge_metrics(text: &str) -> Result<Evidence, Failure> {
    let samples = || {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split(" # ").next()?.rsplit_once(' '))
    };
    let is_store = |name: &str| name.starts_with("app_ready_check_up{");
    if let Some((name, value)) = samples().find(|(name, value)| is_store(name) && *value != "1") {
        return refuted(format!("{name} is {value}"));
    }
    match (samples().count(), samples().filter(|(name, _)| is_store(name)).count()) {
        (0, _) => refuted("there is no sample of a metric"),
        (all, stores) => Ok(format!("{all} samples, {stores} of them of a store that answers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Uid:\t10001\t10001\t10001\t10001\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                          CapBnd:\t0000000000000000\nNoNewPrivs:\t1\n";
    const MOUNTS: &str = "proc /proc proc rw 0 0\noverlay / overlay ro,relatime,lowerdir=a 0 0\n";

    fn inspected(change: &str, to: &str) -> Inspected {
        let json = r#"{"State":{"Pid":7},"Config":{"User":"10001:10001"},"HostConfig":{"ReadonlyRootfs":true,
            "Privileged":false,"NetworkMode":"host","CapAdd":null,"PortBindings":{}}}"#;
        serde_json::from_str(&json.replace(change, to)).unwrap()
    }

    #[test]
    fn a_confined_container_is_without_complaint() {
        assert_eq!(asked_too_much(&inspected("", ""), true), Vec::<String>::new());
        assert_eq!(has_too_much(STATUS, MOUNTS, true), Vec::<String>::new());
    }

    #[test]
    fn a_store_that_does_not_answer_is_noticed_in_the_metrics() {
        let text = "# TYPE app_ready_check_up gauge\napp_ready_check_up{check=\"database\"} 1\n\
                    app_seconds_bucket{le=\"1\"} 7 # {request_id=\"a\"} 0.5 1795000000.0\n# EOF\n";
        assert_eq!(judge_metrics(text).ok().as_deref(), Some("2 samples, 1 of them of a store that answers"));
        assert!(judge_metrics(&text.replace("} 1\n", "} 0\n")).is_err());
        assert!(judge_metrics("# EOF\n").is_err());
    }

    #[test]
    fn everything_beyond_is_noticed() {
        for (change, to) in [
            ("\"ReadonlyRootfs\":true", "\"ReadonlyRootfs\":false"),
            ("\"Privileged\":false", "\"Privileged\":true"),
            ("\"CapAdd\":null", "\"CapAdd\":[\"NET_ADMIN\"]"),
            ("\"PortBindings\":{}", "\"PortBindings\":{\"80/tcp\":[]}"),
            ("10001:10001", "0"),
            ("\"host\"", "\"bridge\""),
        ] {
            assert_eq!(asked_too_much(&inspected(change, to), true).len(), 1, "{to}");
        }
        let capable = STATUS.replace("CapEff:\t0000000000000000", "CapEff:\t00000000a80425fb");
        assert_eq!(has_too_much(&capable, MOUNTS, true), ["CapEff is 00000000a80425fb"]);
        assert_eq!(has_too_much(STATUS, &MOUNTS.replace(" ro,", " rw,"), true).len(), 1);
    }
}
