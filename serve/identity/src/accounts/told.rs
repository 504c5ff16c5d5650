//! A name that a login provider says once (Apple): kept beside the accounts until its person has one, and in the person's
//! browser where it could not be written down.

use std::time::Duration;

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::auth::cookie;
use foundation::problem::Problem;
use foundation::seal::Sealed;
use foundation::write::Unit;
use serde::{Deserialize, Serialize};

use crate::settings::Kind;
use crate::state::Broker;
use crate::upstream::Verified;

/// Whoever has not answered by then whether there is an account gives the name in another way.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How long a browser keeps it: whoever reads that something failed tries again on the same day.
const CARRIED: Duration = Duration::from_secs(86_400);
const COOKIE: &str = "__Host-told";

const KEEP: &str = "INSERT INTO told_names (provider, subject, given_name, family_name, expires_at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (provider, subject) DO UPDATE SET given_name = excluded.given_name, \
     family_name = excluded.family_name, expires_at = excluded.expires_at";
const RECALL: &str = "SELECT given_name, family_name FROM told_names WHERE provider = $1 AND subject = $2";
const FORGET: &str = "DELETE FROM told_names WHERE provider = $1 AND subject = $2";

#[derive(Serialize, Deserialize)]
struct Name {
    given_name: Option<String>,
    family_name: Option<String>,
}

/// Whether this is a name that is not said again.
fn is_said_once(broker: &Broker, verified: &Verified) -> bool {
    let of = broker.settings.providers.iter().find(|provider| provider.name == verified.provider);
    has_name(verified) && of.is_some_and(|provider| provider.kind == Kind::Apple)
}

fn has_name(verified: &Verified) -> bool {
    verified.given_name.is_some() || verified.family_name.is_some()
}

/// Keeps the name of somebody who has no account yet with the write; whether there is anything to keep.
pub fn keep_later(broker: &Broker, unit: &mut Unit, verified: &Verified) -> bool {
    if !is_said_once(broker, verified) {
        return false;
    }
    let ends = unit.now() + KEPT;
    let values = vec![
        Box::new(verified.provider.clone()) as _,
        Box::new(verified.subject.clone()) as _,
        Box::new(verified.given_name.clone()) as _,
        Box::new(verified.family_name.clone()) as _,
        Box::new(ends) as _,
    ];
    unit.transaction.later(KEEP, values);
    true
}

/// The person with the name that was said before, where none is said now.
///
/// # Errors
/// The problem of the database.
pub async fn recall(unit: &Unit, verified: &Verified) -> Result<Verified, Problem> {
    if has_name(verified) {
        return Ok(verified.clone());
    }
    let rows = unit.transaction.query(RECALL, &[&verified.provider, &verified.subject]).await?;
    let name = rows
        .first()
        .map(|row| Name { given_name: row.get("given_name"), family_name: row.get("family_name") });
    Ok(named(verified.clone(), name))
}

/// Forgets it with the write: the account has it, or nobody is to have it.
pub fn forget_later(unit: &mut Unit, provider: &str, subject: &str) {
    unit.transaction.later(FORGET, vec![Box::new(provider.to_owned()), Box::new(subject.to_owned())]);
}

/// The person with the name that this browser carries, where none is said now.
pub fn carried(broker: &Broker, headers: &HeaderMap, verified: Verified) -> Verified {
    if has_name(&verified) {
        return verified;
    }
    let open = || {
        let (key_id, sealed) = cookie::values(headers, COOKIE).next()?.split_once('.')?;
        let sealed = Sealed { key_id: key_id.to_owned(), bytes: URL_SAFE_NO_PAD.decode(sealed).ok()? };
        let opened = broker.sealing.open(&sealed, owner(&verified).as_bytes()).ok()?;
        serde_json::from_slice::<Name>(&opened).ok()
    };
    let name = open();
    named(verified, name)
}

/// Lets the browser carry the name where it could not be written down, and drop it where it was.
///
/// # Errors
/// The outcome's, with the name in a cookie of its answer.
pub fn carry(
    broker: &Broker,
    headers: &HeaderMap,
    verified: &Verified,
    outcome: Result<Response, Problem>,
) -> Result<Response, Problem> {
    match outcome {
        Ok(mut response) => {
            if cookie::values(headers, COOKIE).next().is_some() {
                response.headers_mut().append(SET_COOKIE, cleared());
            }
            Ok(response)
        }
        Err(problem) if is_said_once(broker, verified) => Err(match set_cookie(broker, verified) {
            Some(cookie) => problem.header(SET_COOKIE, cookie),
            None => problem,
        }),
        Err(problem) => Err(problem),
    }
}

fn set_cookie(broker: &Broker, verified: &Verified) -> Option<HeaderValue> {
    let name = Name { given_name: verified.given_name.clone(), family_name: verified.family_name.clone() };
    let text = serde_json::to_vec(&name).ok()?;
    let sealed = broker.sealing.seal(&text, owner(verified).as_bytes(), &*broker.randomness).ok()?;
    let (key_id, value) = (sealed.key_id, URL_SAFE_NO_PAD.encode(&sealed.bytes));
    let seconds = CARRIED.as_secs();
    let text =
        format!("{COOKIE}={key_id}.{value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    HeaderValue::try_from(text).ok()
}

fn cleared() -> HeaderValue {
    HeaderValue::from_static("__Host-told=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

fn named(verified: Verified, name: Option<Name>) -> Verified {
    match name {
        Some(Name { given_name, family_name }) => Verified { given_name, family_name, ..verified },
        None => verified,
    }
}

/// What it is sealed for: nobody else gets the name.
fn owner(verified: &Verified) -> String {
    format!("told:{} {}", verified.provider, verified.subject)
}
