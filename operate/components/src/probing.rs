//! What checks of hosts have in common.

use crate::source::{Floor, Software, floor, source};
use bastide_platform::{OperatingSystem, Platform, Version};
use bastide_verify::probe::{Command, CommandOutcome};
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How long a line may take to be in a log.
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

/// One check a host.
pub(crate) fn on_every_host(
    platform: &Platform,
    check: impl Fn(&bastide_platform::Host) -> Check,
) -> Vec<Check> {
    platform.hosts.iter().map(check).collect()
}

/// A check of `component` on `host` whose probe knows its `subject`.
pub(crate) fn about<S, F, Fut>(
    subject: &Arc<S>,
    (component, host): (&'static str, &str),
    id: &str,
    claim: &str,
    probe: F,
) -> Check
where
    S: Send + Sync + 'static,
    F: Fn(Arc<Field>, Arc<S>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Evidence, Failure>> + Send + 'static,
{
    let subject = Arc::clone(subject);
    Check::new(id, component, Some(host), claim, move |field| probe(field, Arc::clone(&subject)))
}

/// Whether a running server on `host` is fit: by its release, `said` being how it names itself, and by its package where
/// the distribution patches an older release.
pub(crate) async fn judge_release(
    field: &Field,
    (host, os): (&str, OperatingSystem),
    software: Software,
    said: &str,
) -> Result<Evidence, Failure> {
    let floor = floor(software, os);
    let evidence = judge_by_release(&floor, said)?;
    let (Some(oldest), Ok(source)) = (floor.package, source(software, os)) else { return Ok(evidence) };
    let Some(package) = source.packages.first() else { return Ok(evidence) };
    let version = output(field, host, &["dpkg-query", "--show", "--showformat=${Version}", package]).await?;
    let version = version.trim();
    let fit = ["dpkg", "--compare-versions", version, "ge", oldest];
    if field.command(host, &fit).await?.succeeded() {
        Ok(format!("{evidence}, {package} {version} of the distribution"))
    } else {
        refuted(format!("{package} {version} is older than {oldest}: {}", floor.reason))
    }
}

fn judge_by_release(floor: &Floor, said: &str) -> Result<Evidence, Failure> {
    let software = floor.software;
    match release_in(said) {
        None => refuted(format!("{software} does not say its release: `{said}`")),
        Some(running) if floor.allows(running) => Ok(format!("{software} runs in release {running}")),
        Some(running) => {
            refuted(format!("{software} runs in release {running}, which is too old: {}", floor.reason))
        }
    }
}

/// The claim is refuted by what was seen.
pub(crate) fn refuted<T>(seen: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Refuted(seen.into()))
}

/// What a program prints on a host, where it must succeed.
pub(crate) async fn output(field: &Field, host: &str, argv: &[&str]) -> Result<String, Failure> {
    let outcome = field.command(host, argv).await?;
    if outcome.succeeded() {
        return Ok(outcome.stdout);
    }
    refuted(format!("`{}` failed on {host}: {}", argv.join(" "), said(&outcome)))
}

/// The first line of a log on a host that holds `text`, once it is there.
pub(crate) async fn logged(field: &Field, host: &str, path: &str, text: &str) -> Result<String, Failure> {
    let search = ["grep", "--max-count=1", "--fixed-strings", "--regexp", text, path];
    let deadline = tokio::time::Instant::now() + LOGGED_WITHIN;
    loop {
        let outcome = field.command(host, &search).await?;
        if outcome.succeeded() {
            return Ok(outcome.stdout.trim().to_owned());
        }
        if tokio::time::Instant::now() > deadline {
            return refuted(format!("`{text}` is not in {path} {} s later", LOGGED_WITHIN.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A text that no log holds yet.
pub(crate) fn nonce() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("bastide-verify-{}", now.as_nanos())
}

/// Runs `ssh` on the operator's machine, over a connection of its own, with the operator's configuration.
pub(crate) async fn ssh(field: &Field, arguments: &[&str]) -> Result<CommandOutcome, Failure> {
    let Some(config) = field.ssh_config.as_ref().and_then(|path| path.to_str()) else {
        return Err(Failure::Impossible("the operator's OpenSSH configuration is not at hand".to_owned()));
    };
    let fresh = ["ssh", "-F", config, "-o", "ControlMaster=no", "-o", "ControlPath=none"];
    let mut command = Command::new(&[&fresh, arguments].concat());
    command.timeout_ms = 20_000;
    Ok(field.run(&Vantage::Operator, command).await?)
}

/// Whether a host is a container, which shares its machine's kernel and clock.
pub(crate) async fn is_container(field: &Field, host: &str) -> Result<bool, Failure> {
    Ok(field.command(host, &["systemd-detect-virt", "--container", "--quiet"]).await?.succeeded())
}

/// What a program said, in one line.
pub(crate) fn said(outcome: &CommandOutcome) -> String {
    let text = [outcome.stderr.trim(), outcome.stdout.trim()].into_iter().find(|text| !text.is_empty());
    let line = text.and_then(|text| text.lines().last()).unwrap_or("nothing");
    match outcome.exit {
        Some(code) => format!("{line} (exit {code})"),
        None => format!("{line} (killed)"),
    }
}

/// The first release number in `text`, such as `10.6` in `OpenSSH_10.6p1`.
pub(crate) fn release_in(text: &str) -> Option<Version> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let number = &text[start..];
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    Version::parse(number[..end].trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::{judge_by_release, release_in};
    use crate::source::{Software, floor};
    use bastide_platform::{OperatingSystem, Version};

    #[test]
    fn finds_the_release_in_what_servers_say() {
        for (text, release) in [
            ("OpenSSH_10.6p1 Debian-1", Version::new(10, 6, 0)),
            ("v2.11.4 h1:abc", Version::new(2, 11, 4)),
            ("PgBouncer 1.26.1", Version::new(1, 26, 1)),
            ("18.6 (Debian 18.6-3)", Version::new(18, 6, 0)),
        ] {
            assert_eq!(release_in(text), Some(release), "{text}");
        }
        assert_eq!(release_in("no number"), None);
    }

    #[test]
    fn an_older_release_is_refuted() {
        let floor = floor(Software::Caddy, OperatingSystem::Debian14);
        assert!(judge_by_release(&floor, "v2.11.4 h1:abc").is_ok());
        assert!(judge_by_release(&floor, "v2.6.2").is_err());
        assert!(judge_by_release(&floor, "caddy").is_err());
    }
}
