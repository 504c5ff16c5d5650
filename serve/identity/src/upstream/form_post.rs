//! `POST /callback/{provider}` and `GET /callback/{provider}/continue`
//!
//! A provider that answers by a form posts it from its own site, and browsers keep the attempt's cookie away from that. So the
//! answer is taken, sealed, and brought by the browser itself to a place of this site, where the cookie comes along: without
//! a script, and without a page between them. What is sealed is worth nothing in a browser that has not begun the attempt,
//! nor after a minute, nor once the attempt has ended.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::clock::Randomness;
use foundation::extract::{FormBody, Path};
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::seal::{KeyRing, Sealed};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use url::form_urlencoded;

use super::callback::finish;
use super::returned::Returned;
use super::start::sent;
use crate::pages::{self, Failure};
use crate::state::Broker;
use crate::throttle::Tried;

/// A browser goes on at once.
const KEPT: Duration = Duration::from_secs(60);
/// The parameter that carries it.
const PARAMETER: &str = "sealed";

/// What is sealed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Carried {
    returned: Returned,
    #[serde(with = "time::serde::timestamp")]
    at: OffsetDateTime,
}

/// Takes a provider's answer, and sends the browser on with it.
pub async fn receive(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    Path(provider): Path<String>,
    form: FormBody,
) -> Result<Response, Problem> {
    let source = broker.upstreams.named(&provider).filter(|source| source.manner.answers_by_form());
    source.ok_or_else(|| Problem::new(&codes::METHOD_NOT_ALLOWED))?;
    if let Err(wait) = broker.throttle.check(Tried::Return, context.address, broker.clock.now()) {
        return pages::too_many(&broker, wait);
    }
    let Some(returned) = Returned::read(form.bytes(), true) else {
        return pages::failed(&broker, None, Failure::Expired);
    };
    let carried = Carried { returned, at: broker.clock.now() };
    let sealed = seal(&carried, &provider, &broker.sealing, &*broker.randomness);
    let sealed = sealed.ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    Ok(sent(&format!("/callback/{provider}/continue?{PARAMETER}={sealed}")))
}

/// Goes on with a provider's answer.
pub async fn proceed(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    Path(provider): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let sealed = given.find(|(name, _)| name == PARAMETER).map(|(_, value)| value);
    let carried = sealed.and_then(|sealed| open(&sealed, &provider, &broker.sealing));
    let now = broker.clock.now();
    let fresh = carried.filter(|carried| now - carried.at < KEPT && carried.at <= now + KEPT);
    finish(&broker, &context, &provider, &headers, fresh.map(|carried| carried.returned)).await
}

/// What it is sealed for: one provider's answer is none of another's.
fn owner(provider: &str) -> String {
    format!("form-post:{provider}")
}

fn seal(carried: &Carried, provider: &str, keys: &KeyRing, randomness: &dyn Randomness) -> Option<String> {
    let text = serde_json::to_vec(carried).ok()?;
    let sealed = keys.seal(&text, owner(provider).as_bytes(), randomness).ok()?;
    let key: String = form_urlencoded::byte_serialize(sealed.key_id.as_bytes()).collect();
    Some(format!("{key}.{}", URL_SAFE_NO_PAD.encode(&sealed.bytes)))
}

fn open(text: &str, provider: &str, keys: &KeyRing) -> Option<Carried> {
    let (key_id, bytes) = text.rsplit_once('.')?;
    let sealed = Sealed { key_id: key_id.to_owned(), bytes: URL_SAFE_NO_PAD.decode(bytes).ok()? };
    serde_json::from_slice(&keys.open(&sealed, owner(provider).as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use foundation::clock::SystemRandomness;

    #[test]
    fn what_is_carried_is_one_providers_and_not_to_be_changed() {
        let keys = KeyRing::parse(&format!("1:{}=\n", "A".repeat(43))).unwrap();
        let returned = Returned { code: Some("code".to_owned()), ..Returned::default() };
        let carried = Carried { returned, at: OffsetDateTime::UNIX_EPOCH };
        let sealed = seal(&carried, "apple", &keys, &SystemRandomness).unwrap();
        assert!(!sealed.contains("code"));
        assert_eq!(open(&sealed, "apple", &keys), Some(carried));
        assert_eq!(open(&sealed, "other", &keys), None);
        for broken in ["", ".", "1.", "2.AAAA", &sealed[..sealed.len() - 2]] {
            assert_eq!(open(broken, "apple", &keys), None, "{broken}");
        }
    }
}
