//! Signing in, step by step, as a person's browser does it: once by each of the lab's login providers.
//!
//! The browser sees the questions, the codes and the cookies. What it does not see is asked of the network: the login
//! provider's own log says who came, and the edge, through which every packet of a private host leaves, says who did not.

mod browser;
mod journey;
mod judge;

use super::super::{NAME, client_secret, settings};
use crate::Context;
use crate::probing::about;
use crate::secrets::Secret;
use bastide_platform::{APP_CLIENT, Host, LoginProvider, Platform, Provider, Role};
use bastide_verify::probe::Trust;
use bastide_verify::{Check, Evidence, Failure, Field};
use journey::Journey;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use url::Url;

/// Where the reference application says who asks.
const ME: &str = "/api/v1/me";

/// A login provider, and everybody whom a sign-in by it concerns.
struct Subject {
    provider: Provider,
    /// The lab's own login provider; none where it is somebody else's, at whom nobody is anybody.
    at: Option<Counter>,
    app: Url,
    app_address: IpAddr,
    redirect_uri: String,
    client_secret: Secret,
    /// Whether the application is the reference's, which says who has signed in.
    is_reference: bool,
    issuer: Url,
    issuer_address: IpAddr,
    edge: String,
    /// From which everything that a private host sends comes out.
    way_out: Option<IpAddr>,
    trust: Trust,
}

/// Where a login provider receives people.
struct Counter {
    site: Url,
    address: IpAddr,
    client_id: String,
}

/// One check a login provider, where people sign in to the application by it.
pub(super) fn checks(context: &Context<'_>, host: &Host) -> Vec<Check> {
    let platform = context.platform;
    if !platform.signs_in_at_own_issuer() {
        return Vec::new();
    }
    let logins = platform.settings.identity.providers.iter();
    let subjects = logins.filter_map(|login| subject(context, host, login));
    subjects.map(|subject| check(host, Arc::new(subject))).collect()
}

fn check(host: &Host, subject: Arc<Subject>) -> Check {
    let provider = subject.provider.as_str();
    let claim = format!(
        "somebody signs in by {provider} in eleven steps, with state, nonce and PKCE on both ways; codes and answers are for one \
         use, cookies are the site's alone, and the application asks no login provider anything"
    );
    about(&subject, (NAME, host.name.as_str()), &format!("{NAME}/sign-in-by-{provider}"), &claim, signs_in)
}

fn subject(context: &Context<'_>, host: &Host, login: &LoginProvider) -> Option<Subject> {
    let platform = context.platform;
    let app = platform.hosts_with(Role::App).next()?;
    let client = settings::clients(platform).find(|client| client.id == APP_CLIENT)?;
    Some(Subject {
        provider: login.provider,
        at: counter(context, login),
        app: Url::parse(&platform.url()).ok()?,
        app_address: app.address.into(),
        redirect_uri: client.redirect_uris.first().cloned()?,
        client_secret: context.secrets.password(&client_secret(APP_CLIENT)),
        is_reference: platform.settings.app.binary.is_none(),
        issuer: Url::parse(&platform.issuer_url()).ok()?,
        issuer_address: host.address.into(),
        edge: platform.edge().name.to_string(),
        way_out: platform.edge().public_address.map(IpAddr::V4),
        trust: trust(platform),
    })
}

/// A login provider whose name a lab has published is the lab's.
fn counter(context: &Context<'_>, login: &LoginProvider) -> Option<Counter> {
    let at = login.at.as_ref()?;
    let address: &Ipv4Addr = context.names.get(at.host())?;
    let site = Url::parse(at.as_str()).ok()?;
    Some(Counter { site, address: (*address).into(), client_id: login.client_id.clone() })
}

/// By which a browser in a lab judges every site of its world.
fn trust(platform: &Platform) -> Trust {
    let file = platform.settings.app.extra_authority.as_deref().map(|path| platform.resolve(path));
    let text = file.and_then(|path| std::fs::read_to_string(path).ok());
    text.map_or(Trust::Public, Trust::Authorities)
}

async fn signs_in(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let Some(at) = &subject.at else {
        let reason = "only a lab's own login provider lets in whoever types a name";
        return Err(Failure::Impossible(reason.to_owned()));
    };
    let mut journey = Journey::new(&field, &subject, at);
    journey.make().await?;
    Ok(journey.record())
}
