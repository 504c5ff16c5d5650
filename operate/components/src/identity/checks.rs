//! What must be true of the issuer: as applications and people find it, and on its host.

pub(crate) mod issuer;
mod metrics;
mod sign_in;
mod store;

use super::{METRICS_PORT, NAME, OWNING_ROLE, PORT, SERVING_ROLE, UNIT, settings, version};
use crate::Context;
use crate::postgres::login::Server;
use crate::postgres::{self, password_of};
use crate::probing::{about, output, refuted};
use crate::secrets::Secret;
use bastide_platform::{Host, OperatingSystem};
use bastide_verify::probe::{Http, Trust};
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The issuer's host.
struct Subject {
    host: String,
    os: OperatingSystem,
    address: IpAddr,
    edge: Vantage,
    trust: Trust,
    version: u16,
    server: Server,
    serving: Secret,
    owner: Secret,
}

pub(super) fn checks(context: &Context<'_>) -> Vec<Check> {
    let Some(host) = super::host(context.platform) else { return vec![] };
    let mut checks = of_host(context, host);
    let client = settings::clients(context.platform).next().map(|client| issuer::Asking {
        client_id: client.id,
        redirect_uri: client.redirect_uris.first().cloned().unwrap_or_default(),
    });
    let expected = issuer::Expected { issuer: context.platform.issuer_url(), algorithm: "ES256", client };
    checks.extend(issuer::checks(context.platform, NAME, expected));
    checks.extend(sign_in::checks(context, host));
    checks
}

fn of_host(context: &Context<'_>, host: &Host) -> Vec<Check> {
    let trust = Trust::Authorities(context.authority.trust_bundle());
    let subject = Arc::new(Subject {
        host: host.name.to_string(),
        os: host.os,
        address: host.address.into(),
        edge: Vantage::host(&context.platform.edge().name),
        trust: trust.clone(),
        version: version(host),
        server: Server {
            address: Ipv4Addr::LOCALHOST.into(),
            port: postgres::PORT,
            trust,
            database: super::DATABASE,
        },
        serving: context.secrets.password(&password_of(SERVING_ROLE)),
        owner: context.secrets.password(&password_of(OWNING_ROLE)),
    });
    let place = (NAME, subject.host.as_str());
    vec![
        about(
            &subject,
            place,
            "identity/confined",
            "its process has no capability, no way to more privileges, filtered system calls, a read-only root and a \
             limit of memory",
            confined,
        ),
        about(
            &subject,
            place,
            "identity/speaks-tls",
            "the edge reaches it by TLS with a certificate of the platform's authority, and it is ready",
            speaks_tls,
        ),
        about(
            &subject,
            place,
            "identity/secrets-are-closed",
            "nobody but root and the process itself can read what it was handed",
            secrets_are_closed,
        ),
        about(
            &subject,
            place,
            "identity/own-database",
            "its cluster is its own, lets in over verified TLS by SCRAM alone, and listens to its host alone",
            store::is_its_own,
        ),
        about(
            &subject,
            place,
            "identity/serving-role-is-confined",
            "the role that serves can neither change the schema nor what was audited",
            store::serving_role_is_confined,
        ),
        about(
            &subject,
            place,
            "identity/database-version",
            "the running PostgreSQL is at least the oldest fit version",
            store::recent,
        ),
        about(
            &subject,
            place,
            "identity/credentials-last",
            "every credential at a login provider lasts for thirty days or more",
            metrics::credentials_last,
        ),
        about(
            &subject,
            place,
            "identity/signing-keys-rotate",
            "no signing key is older than its rotation allows",
            metrics::signing_keys_rotate,
        ),
    ]
}

/// The kernel's word for what the process may do, and systemd's for its memory.
async fn confined(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let shown =
        output(&field, &subject.host, &["systemctl", "show", UNIT, "-p", "MainPID", "-p", "MemoryMax"]);
    let shown = shown.await?;
    let value = |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let (pid, memory) = (value("MainPID="), value("MemoryMax="));
    if matches!(pid, "" | "0") {
        return refuted("it does not run");
    }
    let status = output(&field, &subject.host, &["cat", &format!("/proc/{pid}/status")]).await?;
    let mounts = output(&field, &subject.host, &["cat", &format!("/proc/{pid}/mounts")]).await?;
    let complaints = has_too_much(&status, &mounts, memory);
    if complaints.is_empty() {
        Ok(format!("process {pid} has no capability, filtered system calls and a read-only root"))
    } else {
        refuted(complaints.join(", "))
    }
}

fn has_too_much(status: &str, mounts: &str, memory: &str) -> Vec<String> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()).unwrap_or("missing")
    };
    let mut complaints = Vec::new();
    for (name, fit) in [
        ("CapEff", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("NoNewPrivs", "1"),
        // A filter, which is more than none and more than strict.
        ("Seccomp", "2"),
    ] {
        if field(name) != fit {
            complaints.push(format!("{name} is {}", field(name)));
        }
    }
    if matches!(field("Uid"), "0" | "missing") {
        complaints.push("it runs as root".to_owned());
    }
    let root = mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ');
        (words.nth(1)? == "/").then(|| words.nth(1).unwrap_or_default())
    });
    if !root.unwrap_or_default().split(',').any(|option| option == "ro") {
        complaints.push("the kernel has its root mounted writable".to_owned());
    }
    if memory.parse::<u64>().is_err() {
        complaints.push(format!("its memory is limited to {memory:?}"));
    }
    complaints
}

async fn speaks_tls(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let address = SocketAddr::new(subject.address, PORT);
    let ask = |scheme: &str| Http::get(&format!("{scheme}://{address}/readyz"), subject.trust.clone());
    let answer = field.http(&subject.edge, ask("https")).await??;
    if answer.status != 200 {
        return refuted(format!("it is not ready: {} {}", answer.status, answer.body));
    }
    match field.http(&subject.edge, ask("http")).await? {
        Ok(plain) if plain.status < 400 => refuted(format!("it answers in the clear: {}", plain.status)),
        _ => Ok(format!("ready at {address} over TLS, and no answer in the clear")),
    }
}

/// Somebody without rights tries to read each file, wherever it is kept.
async fn secrets_are_closed(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let script = format!(
        "for path in $(find {directory} /run/credentials/{UNIT} -type f); do echo \"$path\"; \
         runuser -u nobody -- test -r \"$path\" && echo \"open $path\"; done; true",
        directory = super::DIRECTORY,
    );
    judge_secrecy(&output(&field, &subject.host, &["sh", "-c", &script]).await?)
}

fn judge_secrecy(said: &str) -> Result<Evidence, Failure> {
    let (open, tried): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| line.starts_with("open "));
    let handed = tried.iter().filter(|path| path.starts_with("/run/credentials/")).count();
    match (open.first(), tried.len(), handed) {
        (Some(open), ..) => refuted(format!("everybody can read {}", open.trim_start_matches("open "))),
        (None, _, 0) => refuted("not proven: the process was handed nothing"),
        (None, all, handed) => {
            Ok(format!("nobody else can read any of {all} files, {handed} of them as handed to the process"))
        }
    }
}

/// The metrics, as whoever monitors reads them on the host itself.
async fn metrics_text(field: &Field, subject: &Subject) -> Result<String, Failure> {
    let url = format!("http://{}/metrics", SocketAddr::new(subject.address, METRICS_PORT));
    let probe = Http::get(&url, subject.trust.clone());
    let answer = field.http(&Vantage::host(&subject.host), probe).await??;
    if answer.status == 200 { Ok(answer.body) } else { refuted(format!("GET {url}: {}", answer.status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Uid:\t990\t990\t990\t990\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                          CapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
    const MOUNTS: &str = "overlay / overlay rw 0 0\n/dev/vda / ext4 ro,relatime 0 0\n";

    #[test]
    fn every_right_too_much_is_noticed() {
        assert_eq!(has_too_much(STATUS, MOUNTS, "268435456"), Vec::<String>::new());
        for (from, to) in [
            ("CapEff:\t0000000000000000", "CapEff:\t00000000a80425fb"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ("Seccomp:\t2", "Seccomp:\t0"),
            ("Uid:\t990", "Uid:\t0"),
        ] {
            assert_eq!(has_too_much(&STATUS.replace(from, to), MOUNTS, "1").len(), 1, "{to}");
        }
        assert_eq!(has_too_much(STATUS, &MOUNTS.replace(" ro,", " rw,"), "1").len(), 1);
        assert_eq!(has_too_much(STATUS, MOUNTS, "infinity").len(), 1);
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_noticed() {
        let closed = "/etc/bastide/identity/sealing-keys\n/run/credentials/identity.service/sealing-keys\n";
        assert!(judge_secrecy(closed).is_ok());
        assert!(judge_secrecy(&format!("{closed}open /etc/bastide/identity/sealing-keys\n")).is_err());
        assert!(judge_secrecy("/etc/bastide/identity/sealing-keys\n").is_err());
    }
}
