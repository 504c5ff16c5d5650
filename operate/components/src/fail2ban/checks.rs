//! What must be true of bans: who tries doors is turned away, and nobody else is.

use super::{JAILS, NAME};
use crate::Context;
use crate::caddy::checks::{at_front, client_addresses};
use crate::probing::{about, judge_release, output, refuted};
use crate::source::Software;
use bastide_platform::{BanAction, OperatingSystem};
use bastide_verify::probe::HttpVersion;
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a ban, or its end, may take to act.
const ACTS_WITHIN: Duration = Duration::from_secs(10);
/// Paths that somebody asks for who looks for what others left lying about; more than the jail allows.
const PROBED: [&str; 6] =
    ["/.env", "/.git/config", "/wp-login.php", "/phpmyadmin/", "/vendor/phpunit/x.php", "/.aws/credentials"];

/// The edge.
struct Subject {
    host: String,
    os: OperatingSystem,
    url: String,
    action: BanAction,
}

pub(super) fn checks(context: &Context<'_>) -> Vec<Check> {
    let edge = context.platform.edge();
    let subject = Arc::new(Subject {
        host: edge.name.to_string(),
        os: edge.os,
        url: context.platform.url(),
        action: context.platform.settings.fail2ban.action,
    });
    let place = (NAME, subject.host.as_str());
    vec![
        about(
            &subject,
            place,
            "fail2ban/bans-the-client-and-nobody-else",
            "a client who looks for other people's secrets is turned away, while another one passes",
            bans_the_client,
        ),
        about(&subject, place, "fail2ban/watches", "fail2ban watches sshd and the access log", watches),
        about(&subject, place, "fail2ban/version", "fail2ban is at least the oldest fit version", recent),
    ]
}

/// From attempts to a ban and back, all from outside. The ban is lifted whatever came of it.
async fn bans_the_client(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let client = Vantage::AnotherClient;
    let Some(address) = client_addresses(&field, &client).await?.first().copied() else {
        return Err(Failure::Impossible("the second client has no public address".to_owned()));
    };
    free(&field, &subject, &client, address).await?;
    let found = provoke(&field, &subject, &client).await;
    let freed = free(&field, &subject, &client, address).await;
    let evidence = found?;
    freed?;
    Ok(format!("{address}: {evidence}; 200 again once the ban was lifted"))
}

async fn provoke(field: &Field, subject: &Subject, client: &Vantage) -> Result<Evidence, Failure> {
    for path in PROBED {
        let request = at_front(field, &format!("{}{path}", subject.url), HttpVersion::H1);
        // The ban may act before the last of them.
        let _answer = field.http(client, request).await?;
    }
    let action = subject.action;
    let banned = move |status: Option<u16>| match action {
        BanAction::Proxy => status == Some(403),
        BanAction::Firewall => status.is_none(),
    };
    let seen = await_status(field, subject, client, None, banned).await?;
    let other = status(field, subject, &Vantage::Internet).await?;
    if other != Some(200) {
        return refuted(format!("another client gets {} while one is banned", named(other)));
    }
    Ok(format!("{} after {} attempts, while another client gets 200", named(seen), PROBED.len()))
}

/// Asks until the status is as `wanted`, and lifts the ban of this address, if any, before each time.
async fn await_status(
    field: &Field,
    subject: &Subject,
    client: &Vantage,
    unbanned: Option<IpAddr>,
    wanted: impl Fn(Option<u16>) -> bool,
) -> Result<Option<u16>, Failure> {
    let deadline = Instant::now() + ACTS_WITHIN;
    loop {
        if let Some(address) = unbanned {
            lift(field, subject, address).await?;
        }
        let found = status(field, subject, client).await?;
        if wanted(found) {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return refuted(format!("{client} gets {} after {} s", named(found), ACTS_WITHIN.as_secs()));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// What a client gets for a harmless request; none where it gets no answer.
async fn status(field: &Field, subject: &Subject, client: &Vantage) -> Result<Option<u16>, Failure> {
    let mut request = at_front(field, &format!("{}/livez", subject.url), HttpVersion::H1);
    request.timeout_ms = 2_000;
    Ok(field.http(client, request).await?.ok().map(|answer| answer.status))
}

fn named(status: Option<u16>) -> String {
    status.map_or_else(|| "no answer".to_owned(), |status| status.to_string())
}

/// Lifts the ban until the client is served: fail2ban may ban once more for attempts that it reads from the log after the
/// ban was lifted.
async fn free(field: &Field, subject: &Subject, client: &Vantage, address: IpAddr) -> Result<(), Failure> {
    await_status(field, subject, client, Some(address), |status| status == Some(200)).await.map(drop)
}

async fn lift(field: &Field, subject: &Subject, address: IpAddr) -> Result<(), Failure> {
    output(field, &subject.host, &["fail2ban-client", "unban", &address.to_string()]).await.map(drop)
}

async fn watches(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let status = output(&field, &subject.host, &["fail2ban-client", "status"]).await?;
    let list =
        status.lines().find_map(|line| line.split_once("Jail list:")).map_or("", |(_, list)| list).trim();
    let jails: Vec<&str> = list.split(',').map(str::trim).collect();
    match ["sshd"].iter().chain(&JAILS).find(|jail| !jails.contains(jail)) {
        Some(missing) => refuted(format!("there is no jail {missing}: {list}")),
        None => Ok(format!("jails: {list}")),
    }
}

async fn recent(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let said = output(&field, &subject.host, &["fail2ban-client", "version"]).await?;
    judge_release(&field, (&subject.host, subject.os), Software::Fail2ban, said.trim()).await
}
