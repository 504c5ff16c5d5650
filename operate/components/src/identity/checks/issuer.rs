//! What must be true of an issuer, whichever broker it is: asked at its public name, as applications and people do.

use crate::caddy::checks::at_front;
use crate::probing::{about, refuted};
use bastide_platform::{Platform, Role};
use bastide_verify::probe::{Http, HttpAnswer, HttpVersion};
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the certificate of a name may take that the edge has just been told of.
const CERTIFIED_WITHIN: Duration = Duration::from_secs(8);

/// Where a client without bad intentions would never send people.
const ELSEWHERE: &str = "https://bastide-verify.example/callback";

/// What is expected of an issuer.
pub(crate) struct Expected {
    /// What it calls itself.
    pub(crate) issuer: String,
    /// Algorithm for which it must have a key.
    pub(crate) algorithm: &'static str,
    /// A client that it knows; none where it has none.
    pub(crate) client: Option<Asking>,
}

/// A client that may ask.
pub(crate) struct Asking {
    /// What it calls itself.
    pub(crate) client_id: String,
    /// Where people are sent back to.
    pub(crate) redirect_uri: String,
}

/// The issuer, and from where it is asked.
struct Subject {
    expected: Expected,
    /// The host on which the application runs.
    app: Option<Vantage>,
}

/// The checks of an issuer, claimed by `component`.
pub(crate) fn checks(platform: &Platform, component: &'static str, expected: Expected) -> Vec<Check> {
    let app = platform.hosts_with(Role::App).next().map(|host| Vantage::host(&host.name));
    let host = platform.issuer_host().map(|host| host.name.to_string()).unwrap_or_default();
    let subject = Arc::new(Subject { expected, app });
    let place = (component, host.as_str());
    let id = |claim: &str| format!("{component}/{claim}");
    vec![
        about(
            &subject,
            place,
            &id("names-itself"),
            "its description, at its public name, says that very name, and places below it alone",
            names_itself,
        ),
        about(
            &subject,
            place,
            &id("signing-keys"),
            "it publishes keys to verify its tokens with, and no private half",
            signing_keys,
        ),
        about(
            &subject,
            place,
            &id("refuses-foreign-redirects"),
            "whoever asks for a client and another address than the client's is not sent there",
            refuses_foreign_redirects,
        ),
        about(
            &subject,
            place,
            &id("app-reaches-it"),
            "the application's host reaches it by its public name, as the application does",
            app_reaches_it,
        ),
    ]
}

impl Subject {
    fn description_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.expected.issuer.trim_end_matches('/'))
    }
}

fn json(url: &str, answer: &HttpAnswer) -> Result<Value, Failure> {
    if answer.status != 200 {
        return refuted(format!("GET {url} was answered {} {}", answer.status, answer.body));
    }
    serde_json::from_str(&answer.body)
        .map_err(|error| Failure::Refuted(format!("GET {url} was answered with no JSON: {error}")))
}

/// What it says of itself; a name that is new may wait a moment for its certificate.
async fn description(field: &Field, subject: &Subject) -> Result<Value, Failure> {
    let url = subject.description_url();
    let deadline = Instant::now() + CERTIFIED_WITHIN;
    loop {
        let answer = field.http(&Vantage::Internet, at_front(field, &url, HttpVersion::H2)).await?;
        let uncertified = answer.as_ref().map_or(true, |answer| answer.status >= 500);
        if !uncertified || Instant::now() > deadline {
            return json(&url, &answer?);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn names_itself(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    judge_description(&description(&field, &subject).await?, &subject.expected.issuer)
}

fn judge_description(description: &Value, issuer: &str) -> Result<Evidence, Failure> {
    if description["issuer"] != issuer {
        return refuted(format!("it calls itself {} and not {issuer}", description["issuer"]));
    }
    let origin = issuer.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"] {
        let place = description[name].as_str().unwrap_or_default();
        if !place.starts_with(&format!("{origin}/")) {
            return refuted(format!("its {name} is {place:?}"));
        }
    }
    let challenges = description["code_challenge_methods_supported"].as_array();
    if !challenges.is_some_and(|methods| methods.iter().any(|method| method == "S256")) {
        return refuted("it takes no code challenge S256");
    }
    Ok(format!("{issuer}, with all its places below"))
}

async fn signing_keys(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let description = description(&field, &subject).await?;
    let Some(url) = description["jwks_uri"].as_str() else {
        return refuted("it says nowhere where its keys are");
    };
    let answer = field.http(&Vantage::Internet, at_front(&field, url, HttpVersion::H2)).await??;
    judge_keys(&json(url, &answer)?, subject.expected.algorithm)
}

fn judge_keys(set: &Value, algorithm: &str) -> Result<Evidence, Failure> {
    let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let private = ["d", "p", "q", "k"];
    if let Some(key) = keys.iter().find(|key| private.iter().any(|part| !key[part].is_null())) {
        return refuted(format!("the key {} is published with its private half", key["kid"]));
    }
    let fit = |key: &&Value| key["alg"] == algorithm && key["kid"].is_string() && key["use"] == "sig";
    match keys.iter().filter(fit).count() {
        0 => refuted(format!("none of its {} keys is for {algorithm}", keys.len())),
        count => Ok(format!("{count} of {} keys for {algorithm}, none with a private half", keys.len())),
    }
}

/// A request that differs from a good one in nothing but where people would be sent.
async fn refuses_foreign_redirects(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let Some(client) = &subject.expected.client else {
        return Err(Failure::Impossible("no client is known to it".to_owned()));
    };
    let description = description(&field, &subject).await?;
    let Some(place) = description["authorization_endpoint"].as_str() else {
        return refuted("it says nowhere where people sign in");
    };
    let ask = |redirect: &str| {
        let url = format!(
            "{place}?response_type=code&client_id={}&redirect_uri={}&scope=openid&state=verify&nonce=verify\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
            encoded(&client.client_id),
            encoded(redirect)
        );
        at_front(&field, &url, HttpVersion::H2)
    };
    let good = field.http(&Vantage::Internet, ask(&client.redirect_uri)).await??;
    let foreign = field.http(&Vantage::Internet, ask(ELSEWHERE)).await??;
    judge_redirect(&good, &foreign)
}

fn judge_redirect(good: &HttpAnswer, foreign: &HttpAnswer) -> Result<Evidence, Failure> {
    if good.status >= 400 {
        return refuted(format!("not proven: also the client's own address is answered {}", good.status));
    }
    match (foreign.status, foreign.header("location")) {
        (_, Some(to)) if to.starts_with(ELSEWHERE) => refuted(format!("people are sent to {to}")),
        (status @ 400..=499, None) => {
            Ok(format!("{status} for another address, {} for the client's own", good.status))
        }
        (status, to) => refuted(format!("another address is answered {status} {}", to.unwrap_or_default())),
    }
}

/// A text as it stands in a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

async fn app_reaches_it(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let Some(app) = &subject.app else {
        return Err(Failure::Impossible("no host runs the application".to_owned()));
    };
    let url = subject.description_url();
    // Once people reach it.
    description(&field, &subject).await?;
    // The host finds the address itself, as the application has to.
    let answer = field.http(app, Http::get(&url, field.front.trust.clone())).await??;
    let description = json(&url, &answer)?;
    let evidence = judge_description(&description, &subject.expected.issuer)?;
    Ok(format!("from {app}: {evidence}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn description() -> Value {
        let at = |path: &str| format!("https://id.a.test{path}");
        json!({"issuer": at(""), "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
               "jwks_uri": at("/keys"), "end_session_endpoint": at("/logout"),
               "code_challenge_methods_supported": ["S256"]})
    }

    #[test]
    fn a_description_of_somebody_else_is_noticed() {
        let judge = |description: &Value| judge_description(description, "https://id.a.test");
        assert!(judge(&description()).is_ok());
        for (key, value) in [
            ("issuer", json!("https://id.b.test")),
            ("token_endpoint", json!("https://id.a.test.evil.example/token")),
            ("jwks_uri", json!("http://id.a.test/keys")),
            ("code_challenge_methods_supported", json!(["plain"])),
            ("end_session_endpoint", Value::Null),
        ] {
            let mut wrong = description();
            wrong[key] = value;
            assert!(judge(&wrong).is_err(), "{key}");
        }
    }

    #[test]
    fn keys_that_are_missing_or_shown_whole_are_noticed() {
        let key = json!({"kty": "EC", "alg": "ES256", "use": "sig", "kid": "1", "x": "a", "y": "b"});
        assert!(judge_keys(&json!({"keys": [key]}), "ES256").is_ok());
        assert!(judge_keys(&json!({"keys": [key]}), "RS256").is_err());
        assert!(judge_keys(&json!({"keys": []}), "ES256").is_err());
        let mut whole = key;
        whole["d"] = json!("secret");
        assert!(judge_keys(&json!({"keys": [whole]}), "ES256").is_err());
    }

    #[test]
    fn being_sent_elsewhere_is_noticed() {
        let answer = |status, location: Option<&str>| HttpAnswer {
            status,
            version: HttpVersion::H2,
            headers: location.map(|to| ("location".to_owned(), to.to_owned())).into_iter().collect(),
            body: String::new(),
            truncated: false,
            tls: None,
        };
        let good = answer(200, None);
        assert!(judge_redirect(&good, &answer(400, None)).is_ok());
        assert!(judge_redirect(&good, &answer(200, None)).is_err());
        assert!(judge_redirect(&good, &answer(303, Some(&format!("{ELSEWHERE}?error=x")))).is_err());
        assert!(judge_redirect(&answer(503, None), &answer(400, None)).is_err(), "refuses everything");
        assert_eq!(encoded("a b/ä"), "a%20b%2F%C3%A4");
    }
}
