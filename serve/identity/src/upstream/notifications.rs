//! `POST /notifications/{provider}`: what Apple tells of its people without being asked.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use foundation::extract::{Bytes, Path};
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::callback::note_denied;
use super::error::{TokenError, UpstreamError};
use super::id_token::{Audience, SKEW, seconds};
use super::source::Source;
use super::{manner, person};
use crate::accounts::{self, Notification};
use crate::secret;
use crate::state::Broker;

/// It tries again for a while where nobody has answered.
const BELIEVED: Duration = Duration::from_secs(24 * 3600);
/// Longer than it is believed, so that none is believed twice.
const REMEMBERED: Duration = Duration::from_secs(26 * 3600);

const IS_KNOWN: &str = "SELECT EXISTS (SELECT FROM used_assertions WHERE issuer = $1 AND hash = $2)";
const REMEMBER: &str =
    "INSERT INTO used_assertions (issuer, hash, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

#[derive(Deserialize)]
struct Posted {
    payload: String,
}

/// What the token says. It has no end of its own.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    iat: Option<f64>,
    jti: Option<String>,
    /// JSON, or a text that is JSON.
    events: Option<Value>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    sub: String,
}

/// A notification that is believed.
struct Believed {
    id: secret::Hash,
    subject: String,
    /// None where it is of a kind that means nothing here.
    notification: Option<Notification>,
}

/// Does what follows from a notification, once.
pub async fn receive(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    Path(provider): Path<String>,
    Bytes(body): Bytes,
) -> Result<Response, Problem> {
    let source = broker.upstreams.named(&provider).filter(|source| source.notifies());
    let source = source.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let posted: Posted = serde_json::from_slice(&body)
        .map_err(|_| Problem::new(&codes::BODY_MALFORMED).detail("The body has no text `payload`."))?;
    let believed = match believe(source, &posted.payload, broker.clock.now()).await {
        Ok(believed) => believed,
        Err(error) => return Err(refused(&broker, &context, &provider, &error).await?),
    };
    if !is_known(&broker, &provider, &believed).await? {
        if let Some(notification) = believed.notification {
            accounts::notified(&broker, &context, &provider, &believed.subject, notification).await?;
        }
        // Remembered afterwards: where anything fails, Apple tries again, and doing it again does no harm.
        remember(&broker, &provider, &believed).await?;
    }
    Ok((StatusCode::OK, [(CACHE_CONTROL, "no-store")]).into_response())
}

async fn believe(source: &Source, token: &str, now: OffsetDateTime) -> Result<Believed, UpstreamError> {
    let (_, claims, _) = source.verify::<Claims>(token).await?;
    if claims.iss != manner::name(&source.wire.hosts.site) {
        return Err(TokenError::Issuer.into());
    }
    if claims.aud.has(&source.provider.client_id) != (true, false) {
        return Err(TokenError::Audience.into());
    }
    let (now, issued) = (seconds(now), claims.iat.ok_or(TokenError::Timeless)?);
    if issued > now + SKEW {
        return Err(TokenError::Early.into());
    }
    if issued < now - BELIEVED.as_secs_f64() {
        return Err(TokenError::Old.into());
    }
    let id = claims.jti.filter(|id| !id.is_empty()).ok_or(TokenError::Nameless)?;
    let told: Option<Told> = match claims.events {
        Some(Value::String(text)) => serde_json::from_str(&text).ok(),
        Some(events) => serde_json::from_value(events).ok(),
        None => None,
    };
    let told = told.ok_or(TokenError::Eventless)?;
    let notification = match told.kind.as_str() {
        "consent-revoked" => Some(Notification::ConsentRevoked),
        "account-delete" | "account-deleted" => Some(Notification::AccountDeleted),
        "email-disabled" => Some(Notification::EmailDisabled),
        "email-enabled" => Some(Notification::EmailEnabled),
        _ => None,
    };
    Ok(Believed { id: secret::hash(&id), subject: person::subject(&told.sub)?, notification })
}

/// What the provider has signed and is refused nevertheless is written down. What it has not signed is anybody's, and the
/// log has it.
async fn refused(
    broker: &Broker,
    context: &RequestContext,
    provider: &str,
    error: &UpstreamError,
) -> Result<Problem, Problem> {
    error.log(provider);
    match error {
        UpstreamError::Token(TokenError::Jwt(_)) => {}
        UpstreamError::Token(token) => note_denied(broker, context, provider, token.reason()).await?,
        // Its keys are not known now. It tries again.
        _ => return Ok(Problem::new(&codes::UNAVAILABLE)),
    }
    Ok(Problem::new(&codes::BODY_MALFORMED).detail(format!("The notification is refused: {error}.")))
}

async fn is_known(broker: &Broker, provider: &str, believed: &Believed) -> Result<bool, Problem> {
    let (issuer, hash) = (issuer(provider), believed.id.to_vec());
    let known = broker.database.ask(async |client| {
        let statement = client.prepare_cached(IS_KNOWN).await?;
        client.query_one(&statement, &[&issuer, &hash]).await?.try_get(0)
    });
    Ok(known.await?)
}

async fn remember(broker: &Broker, provider: &str, believed: &Believed) -> Result<(), Problem> {
    let (issuer, hash) = (issuer(provider), believed.id.to_vec());
    let ends = broker.clock.now() + REMEMBERED;
    let kept = broker.database.ask(async |client| {
        let statement = client.prepare_cached(REMEMBER).await?;
        client.execute(&statement, &[&issuer, &hash, &ends]).await
    });
    Ok(kept.await.map(drop)?)
}

/// Clients' assertions are kept beside these: no client is called so.
fn issuer(provider: &str) -> String {
    format!("notification of {provider}")
}
