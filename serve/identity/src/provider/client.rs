//! Who a client is, proven in one of three ways and in no two at once.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foundation::audit::{Event, Outcome};
use foundation::request::RequestContext;
use url::form_urlencoded;

use super::assertion;
use super::origin;
use super::parameters::Parameters;
use super::refusal::{Failure, Refusal};
use crate::secret;
use crate::settings::{Client, Proof};
use crate::state::Broker;
use crate::throttle::{Pace, Tried};

/// What a request says of who sends it.
#[derive(Debug, PartialEq, Eq)]
enum Presented {
    /// `client_secret_basic` or `client_secret_post`.
    Secret { id: String, secret: String, by_header: bool },
    /// `private_key_jwt`.
    Assertion { id: String, assertion: String },
}

impl Presented {
    fn read(headers: &HeaderMap, parameters: &Parameters) -> Result<Self, Refusal> {
        let several = || Refusal::invalid_request("The client proves in more than one way who it is.");
        let id = parameters.get("client_id");
        let secret = parameters.get("client_secret");
        let assertion = parameters.get("client_assertion");
        let header = basic(headers)?;
        if [header.is_some(), secret.is_some(), assertion.is_some()].iter().filter(|way| **way).count() > 1 {
            return Err(several());
        }
        if let Some((by_header, secret)) = header {
            return match id {
                Some(id) if id != by_header => Err(several()),
                _ => Ok(Self::Secret { id: by_header, secret, by_header: true }),
            };
        }
        match (assertion, parameters.get("client_assertion_type"), secret, id) {
            (Some(assertion), Some(assertion::KIND), _, id) => {
                let named = assertion::named(assertion).ok_or_else(|| Refusal::invalid_client(false))?;
                if id.is_some_and(|id| id != named) {
                    return Err(several());
                }
                Ok(Self::Assertion { id: named, assertion: assertion.to_owned() })
            }
            (None, None, Some(secret), Some(id)) => {
                Ok(Self::Secret { id: id.to_owned(), secret: secret.to_owned(), by_header: false })
            }
            (Some(_), _, _, _) | (None, Some(_), _, _) => {
                Err(Refusal::invalid_request("client_assertion and client_assertion_type belong together."))
            }
            _ => Err(Refusal::invalid_client(false)),
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::Secret { id, .. } | Self::Assertion { id, .. } => id,
        }
    }

    fn is_by_header(&self) -> bool {
        matches!(self, Self::Secret { by_header: true, .. })
    }
}

/// Name and secret in the header: each encoded as in a form, and both together in base 64 (RFC 6749, section 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bad = || Refusal::invalid_client(true);
    let text = value.to_str().ok().filter(|_| values.next().is_none()).ok_or_else(bad)?;
    let (scheme, encoded) = text.split_once(' ').ok_or_else(bad)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(bad());
    }
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(bad)?;
    let (id, secret) = decoded.split_once(':').ok_or_else(bad)?;
    Ok(Some((unescaped(id), unescaped(secret))))
}

fn unescaped(text: &str) -> String {
    // One name without a value: whatever else is in it has to be escaped.
    let text = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(text.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

/// The client that has sent the request, once it has proven who it is.
///
/// # Errors
/// A refusal, or the problem of the database.
pub async fn authenticate<'a>(
    broker: &'a Broker,
    context: &RequestContext,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<&'a Client, Failure> {
    let now = broker.clock.now();
    let check = |place| {
        broker.throttle.check(Tried::Client(place), context.address, now).map_err(|wait| {
            broker.provider.counts.refused("too-many");
            Refusal::slow_down(wait)
        })
    };
    let presented = match Presented::read(headers, parameters) {
        Ok(presented) => presented,
        Err(refusal) => {
            check(None)?;
            if refusal.error() == "invalid_client" {
                failed(broker, context, None, "no-proof").await?;
            }
            return Err(refusal.into());
        }
    };
    let place = broker.settings.place(presented.id());
    check(place)?;
    let client = place.and_then(|place| broker.settings.clients.get(place));
    match (place, client, is_proven(broker, client, &presented).await?) {
        (Some(place), Some(client), true) => {
            broker.throttle.proved(place, context.address);
            Ok(client)
        }
        _ => {
            tracing::info!(
                client = presented.id().get(..64).unwrap_or(presented.id()),
                "a client has not proven who it is"
            );
            failed(broker, context, place, if place.is_some() { "wrong-proof" } else { "unknown" }).await?;
            Err(Refusal::invalid_client(presented.is_by_header()).into())
        }
    }
}

/// Counts that somebody has not proven to be the client of this place, and writes it down: `reason` is a stable name, nothing
/// that anybody has sent.
async fn failed(
    broker: &Broker,
    context: &RequestContext,
    place: Option<usize>,
    reason: &'static str,
) -> Result<(), Failure> {
    broker.throttle.failed(Tried::Client(place), context.address, broker.clock.now());
    broker.provider.counts.refused("client");
    let mut event = Event::new("client.authenticate", "client").outcome(Outcome::Denied);
    if let Some(client) = place.and_then(|place| broker.settings.clients.get(place)) {
        event = event.of(&client.id);
    }
    broker.writes.record(&origin(context), event.changed("reason", (), reason)).await?;
    Ok(())
}

async fn is_proven(broker: &Broker, client: Option<&Client>, presented: &Presented) -> Result<bool, Failure> {
    match (client.map(|client| &client.proof), presented) {
        (Some(Proof::Secret(hash)), Presented::Secret { secret, .. }) => {
            Ok(verify_slices_are_equal(hash, &secret::hash(secret)).is_ok())
        }
        (Some(Proof::Keys(keys)), Presented::Assertion { id, assertion }) => {
            let token = format!("{}/token", broker.issuer);
            let here = [broker.issuer.as_str(), &token];
            match assertion::check(assertion, keys, id, &here, broker.clock.now()) {
                Some(good) => Ok(assertion::is_first(&broker.database, id, &good).await?),
                None => Ok(false),
            }
        }
        // As long as for a client that there is.
        (None, Presented::Secret { secret, .. }) => {
            Ok(verify_slices_are_equal(&[0; 32], &secret::hash(secret)).is_ok())
        }
        _ => Ok(false),
    }
}

/// What a client is told that has brought a code or token that there is not, or that is another's: `refusal`, unless there were
/// too many.
pub async fn brought_wrong(
    broker: &Broker,
    context: &RequestContext,
    client: &Client,
    refusal: Refusal,
) -> Failure {
    let place = broker.settings.place(&client.id).unwrap_or_default();
    match broker.throttle.wrong(Tried::Token(place), context.address, broker.clock.now()).await {
        Pace::Usual => refusal.into(),
        Pace::Late(wait) | Pace::Crowded(wait) => {
            broker.provider.counts.refused("too-many");
            Refusal::slow_down(wait).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn header(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(text).unwrap())])
    }

    fn read(headers: &HeaderMap, form: &str) -> Result<Presented, &'static str> {
        let parameters = Parameters::parse(form.as_bytes()).unwrap();
        Presented::read(headers, &parameters).map_err(|refusal| refusal.error())
    }

    #[test]
    fn name_and_secret_are_encoded_in_the_header() {
        let basic = header(&format!("Basic {}", STANDARD.encode("my+app:s3cret%3Awith%25%20%26%2B=")));
        let expected = Presented::Secret {
            id: "my app".to_owned(),
            secret: "s3cret:with% &+=".to_owned(),
            by_header: true,
        };
        assert_eq!(read(&basic, ""), Ok(expected));
        assert!(read(&basic, "client_id=my+app").is_ok());
        assert_eq!(read(&basic, "client_id=other"), Err("invalid_request"));
        for bad in ["Basic", "Basic !", "Bearer x", &format!("Basic {}", STANDARD.encode("no colon"))] {
            assert_eq!(read(&header(bad), ""), Err("invalid_client"), "{bad}");
        }
    }

    #[test]
    fn a_client_proves_in_one_way_who_it_is() {
        let none = HeaderMap::new();
        let basic = header(&format!("Basic {}", STANDARD.encode("a:b")));
        let kind = KIND_FIELD;
        assert!(read(&none, "client_id=a&client_secret=b").is_ok());
        assert_eq!(read(&basic, "client_id=a&client_secret=b"), Err("invalid_request"));
        assert_eq!(read(&basic, &format!("client_assertion=x&{kind}")), Err("invalid_request"));
        assert_eq!(
            read(&none, &format!("client_secret=b&client_assertion=x&{kind}")),
            Err("invalid_request")
        );
        assert_eq!(read(&none, "client_assertion=x"), Err("invalid_request"));
        assert_eq!(read(&none, "client_assertion=x&client_assertion_type=other"), Err("invalid_request"));
        assert_eq!(read(&none, &format!("client_assertion=x&{kind}")), Err("invalid_client"));
        assert_eq!(read(&none, "client_id=a"), Err("invalid_client"));
        assert_eq!(read(&none, "client_secret=b"), Err("invalid_client"));
        // {"sub":"a"}
        let assertion = format!("client_assertion=x.eyJzdWIiOiJhIn0.x&{kind}");
        assert!(read(&none, &assertion).is_ok());
        assert!(read(&none, &format!("{assertion}&client_id=a")).is_ok());
        assert_eq!(read(&none, &format!("{assertion}&client_id=b")), Err("invalid_request"));
    }

    const KIND_FIELD: &str =
        "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
}
