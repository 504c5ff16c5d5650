//! What must be true of both Valkey instances, asked from where the application asks.

use super::{APP_USER, FILL_USER, Instance, MONITOR_USER, NAME, PRESSURE};
use crate::Context;
use crate::probing::{about, judge_release, refuted};
use crate::secrets::Secret;
use crate::source::Software;
use bastide_platform::{Eviction, Host, OperatingSystem, Role};
use bastide_verify::probe::{Attempt, Refusal, Reply, Stage, Trust, Valkey, ValkeySession};
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use std::net::IpAddr;
use std::sync::Arc;

/// Bytes of a value with which an instance is filled.
const VALUE: u32 = 1024 * 1024;
/// Beginning of the keys with which an instance is filled.
const FILL_PREFIX: &str = "fill:";

/// Commands that no client of ours may run, each in a form that does no harm where it is allowed: with an argument
/// that the command refuses only after it has been permitted.
const DANGEROUS: [&[&str]; 14] = [
    &["FLUSHALL", "BASTIDE"],
    &["FLUSHDB", "BASTIDE"],
    &["CONFIG", "GET", "maxmemory"],
    &["CONFIG", "SET", "bastide-has-no-such-setting", "1"],
    &["KEYS", "bastide:no:such:*"],
    &["SCAN", "0"],
    &["DEBUG", "HELP"],
    &["SHUTDOWN", "BASTIDE"],
    &["REPLICAOF", "NO", "ONE"],
    &["ACL", "LIST"],
    &["MODULE", "LIST"],
    &["CLIENT", "KILL", "ID", "0"],
    &["SCRIPT", "FLUSH", "BASTIDE"],
    &["INFO"],
];

/// An instance, and what it takes to ask it.
struct Subject {
    host: String,
    os: OperatingSystem,
    address: IpAddr,
    instance: Instance,
    trust: Trust,
    /// A host from which the application comes.
    app: Vantage,
    app_password: Secret,
    monitor_password: Secret,
    /// Where the instance may be filled to the brim: in a lab.
    fill_password: Option<Secret>,
    memory_mb: u32,
    eviction: Eviction,
}

pub(super) fn checks(context: &Context<'_>) -> Vec<Check> {
    let Some(app) = context.platform.hosts_with(Role::App).next() else { return vec![] };
    let caches = context.platform.hosts_with(Role::Cache);
    caches
        .flat_map(|cache| Instance::BOTH.map(|instance| of_instance(context, app, cache, instance)))
        .flatten()
        .collect()
}

fn of_instance(context: &Context<'_>, app: &Host, cache: &Host, instance: Instance) -> Vec<Check> {
    let password = |user: &str| context.secrets.password(&instance.password_of(user));
    let settings = instance.settings(context.platform);
    let subject = Arc::new(Subject {
        host: cache.name.to_string(),
        os: cache.os,
        address: cache.address.into(),
        instance,
        trust: Trust::Authorities(context.authority.trust_bundle()),
        app: Vantage::host(&app.name),
        app_password: password(APP_USER),
        monitor_password: password(MONITOR_USER),
        fill_password: context.platform.settings.lab.is_some().then(|| password(FILL_USER)),
        memory_mb: settings.memory_mb,
        eviction: settings.eviction,
    });
    let name = instance.name();
    let place = (NAME, subject.host.as_str());
    let id = |claim: &str| format!("valkey/{name}-{claim}");
    let promise = match settings.eviction {
        Eviction::NoEviction => "a full instance refuses writes and evicts nothing",
        Eviction::AllKeysLru | Eviction::AllKeysLfu => "a full instance evicts, and goes on accepting writes",
    };
    vec![
        about(
            &subject,
            place,
            &id("refuses-plaintext"),
            "a connection without TLS is refused",
            refuses_plaintext,
        ),
        about(
            &subject,
            place,
            &id("refuses-strangers"),
            "nobody gets in without a login, as the default user or with a wrong password",
            refuses_strangers,
        ),
        about(
            &subject,
            place,
            &id("denies-danger"),
            "the application reads and writes its own keys, and can neither see nor harm anything else",
            denies_danger,
        ),
        about(&subject, place, &id("memory-pressure"), promise, memory_pressure),
        about(
            &subject,
            place,
            &id("version"),
            "the running Valkey is at least the oldest fit version",
            recent,
        ),
    ]
}

impl Subject {
    fn in_the_clear(&self) -> Valkey {
        Valkey::new(self.address, self.instance.port())
    }

    fn connection(&self) -> Valkey {
        self.in_the_clear().tls(self.trust.clone(), &self.address.to_string())
    }

    fn as_user(&self, user: &str, password: &Secret) -> Valkey {
        self.connection().login(user, password.reveal())
    }
}

async fn refuses_plaintext(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    match field.valkey(&subject.app, subject.in_the_clear().command(&["PING"])).await? {
        Err(Refusal { stage: Stage::Protocol | Stage::Tls, reason, .. }) => {
            Ok(format!("PING in the clear: {reason}"))
        }
        Err(refusal) => refuted(format!("the port did not even accept: {refusal}")),
        Ok(session) => refuted(format!("PING in the clear was answered: {:?}", session.replies)),
    }
}

async fn refuses_strangers(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let anonymous = subject.connection().command(&["PING"]).command(&["GET", "app:any"]);
    let session = opened(field.valkey(&subject.app, anonymous).await?)?;
    if let Some(reply) = session.replies.iter().find(|reply| !is_error(reply, "NOAUTH")) {
        return refuted(format!("without a login the answer was {reply:?}"));
    }
    for (user, password) in [("default", &subject.app_password), (APP_USER, &Secret::new("a wrong password"))]
    {
        match field.valkey(&subject.app, subject.as_user(user, password)).await? {
            Err(Refusal { stage: Stage::Authentication, .. }) => {}
            Err(refusal) => return refuted(format!("the login as {user} did not get that far: {refusal}")),
            Ok(_) => return refuted(format!("{user} was let in with a wrong password")),
        }
    }
    Ok("NOAUTH without a login; the default user and a wrong password are refused".to_owned())
}

async fn denies_danger(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let mut probe = subject
        .as_user(APP_USER, &subject.app_password)
        .command(&["SET", "app:bastide-verify", "1", "EX", "10"])
        .command(&["GET", "app:bastide-verify"])
        .command(&["SET", "other:bastide-verify", "1", "EX", "10"])
        .command(&["GET", "other:bastide-verify"]);
    for command in DANGEROUS {
        probe = probe.command(command);
    }
    let _turn = PRESSURE.lock().await;
    let session = opened(field.valkey(&subject.app, probe).await?)?;
    let [set, get, others @ ..] = session.replies.as_slice() else {
        return refuted("the answers were too few");
    };
    if set.text() != Some("OK") || get.text() != Some("1") {
        return refuted(format!("the application cannot use its own keys: {set:?}, {get:?}"));
    }
    let foreign: [&[&str]; 2] = [&["SET", "other:…"], &["GET", "other:…"]];
    for (command, reply) in foreign.iter().chain(&DANGEROUS).zip(others) {
        // Valkey turns DEBUG away before it looks at permissions.
        let denied = is_error(reply, "NOPERM") || is_error(reply, "ERR DEBUG command not allowed");
        if !denied {
            return refuted(format!("{} was answered by {reply:?}", command.join(" ")));
        }
    }
    let names: Vec<&str> = DANGEROUS.iter().map(|command| command[0]).collect();
    Ok(format!("keys outside app: are denied, and so are {}", names.join(", ")))
}

/// A lab is filled to the brim. Real servers say what they would do: filling them would be the outage itself.
async fn memory_pressure(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    match &subject.fill_password {
        Some(password) => fill(&field, &subject, password).await,
        None => policy(&field, &subject).await,
    }
}

async fn policy(field: &Field, subject: &Subject) -> Result<Evidence, Failure> {
    let probe = subject.as_user(MONITOR_USER, &subject.monitor_password).command(&["INFO", "memory"]);
    let session = opened(field.valkey(&subject.app, probe).await?)?;
    let info = session.replies.first().and_then(Reply::text).unwrap_or_default();
    let (policy, limit) = (value(info, "maxmemory_policy"), value(info, "maxmemory"));
    let expected = (subject.eviction.as_str(), u64::from(subject.memory_mb) * 1024 * 1024);
    if (policy, limit.parse().unwrap_or_default()) == expected {
        Ok(format!("the running server has {policy} at {limit} bytes; only a lab is filled to the brim"))
    } else {
        refuted(format!("the running server has {policy} at {limit} bytes"))
    }
}

async fn fill(field: &Field, subject: &Subject, password: &Secret) -> Result<Evidence, Failure> {
    // The overhead of a value and what else is there make sure that a quarter more does not fit.
    let keys = subject.memory_mb + subject.memory_mb / 4 + 8;
    let mut probe = subject
        .as_user(FILL_USER, password)
        .command(&["INFO", "stats"])
        .fill(FILL_PREFIX, keys, VALUE)
        .command(&["INFO", "stats"]);
    probe.timeout_ms = 20_000;
    let _turn = PRESSURE.lock().await;
    let attempt = field.valkey(&subject.app, probe).await;
    empty(field, subject, password, keys).await?;
    let session = opened(attempt?)?;
    judge_pressure(subject.eviction, &session)
}

/// Takes away again what filled the instance.
async fn empty(field: &Field, subject: &Subject, password: &Secret, keys: u32) -> Result<(), Failure> {
    let names: Vec<String> = (0..keys).map(|number| format!("{FILL_PREFIX}{number}")).collect();
    let mut words = vec!["UNLINK"];
    words.extend(names.iter().map(String::as_str));
    opened(field.valkey(&subject.app, subject.as_user(FILL_USER, password).command(&words)).await?).map(drop)
}

fn judge_pressure(eviction: Eviction, session: &ValkeySession) -> Result<Evidence, Failure> {
    let [before, Reply::Filled { written, refused }, after] = session.replies.as_slice() else {
        return refuted(format!("the answers have another shape: {:?}", session.replies));
    };
    let evicted = |reply: &Reply| -> u64 {
        value(reply.text().unwrap_or_default(), "evicted_keys").parse().unwrap_or_default()
    };
    let evicted = evicted(after).saturating_sub(evicted(before));
    let refused = refused.as_deref();
    let told = format!("{written} values of 1 MiB written, {evicted} keys evicted");
    match (eviction, refused) {
        (Eviction::NoEviction, Some(error)) if error.starts_with("OOM") && evicted == 0 => {
            Ok(format!("{told}, then: {error}"))
        }
        (Eviction::AllKeysLru | Eviction::AllKeysLfu, None) if evicted > 0 => {
            Ok(format!("{told}, none refused"))
        }
        _ => refuted(format!("{told}, {}", refused.unwrap_or("none refused"))),
    }
}

async fn recent(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let probe = subject.as_user(MONITOR_USER, &subject.monitor_password).command(&["INFO", "server"]);
    let session = opened(field.valkey(&subject.app, probe).await?)?;
    let info = session.replies.first().and_then(Reply::text).unwrap_or_default();
    let said = value(info, "valkey_version");
    judge_release(&field, (&subject.host, subject.os), Software::Valkey, said).await
}

fn opened(attempt: Attempt<ValkeySession>) -> Result<ValkeySession, Failure> {
    Ok(attempt?)
}

fn is_error(reply: &Reply, beginning: &str) -> bool {
    reply.error().is_some_and(|error| error.starts_with(beginning))
}

/// A field of what INFO prints.
fn value<'a>(info: &'a str, name: &str) -> &'a str {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(evicted: u32, written: u32, refused: Option<&str>) -> ValkeySession {
        let stats = |evicted: u32| Reply::Text(format!("# Stats\r\nevicted_keys:{evicted}\r\n"));
        let filled = Reply::Filled { written, refused: refused.map(str::to_owned) };
        ValkeySession { replies: vec![stats(3), filled, stats(3 + evicted)] }
    }

    #[test]
    fn durable_must_refuse_and_must_not_evict() {
        let oom = Some("OOM command not allowed when used memory > 'maxmemory'.");
        assert!(judge_pressure(Eviction::NoEviction, &session(0, 100, oom)).is_ok());
        assert!(judge_pressure(Eviction::NoEviction, &session(1, 100, oom)).is_err());
        assert!(judge_pressure(Eviction::NoEviction, &session(0, 160, None)).is_err());
        assert!(judge_pressure(Eviction::NoEviction, &session(0, 0, Some("NOPERM"))).is_err());
    }

    #[test]
    fn the_cache_must_evict_and_must_not_refuse() {
        assert!(judge_pressure(Eviction::AllKeysLfu, &session(40, 160, None)).is_ok());
        assert!(judge_pressure(Eviction::AllKeysLfu, &session(0, 160, None)).is_err());
        assert!(judge_pressure(Eviction::AllKeysLfu, &session(40, 100, Some("OOM"))).is_err());
    }
}
