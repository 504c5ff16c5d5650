//! `POST /sign-in/back-channel-logout`

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::audit::{Event, Origin};
use foundation::extract::FormBody;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::valkey::ValkeyError;
use foundation::write::idempotency::Answer;
use ring::digest::{SHA256, digest};

use super::issuer::IssuerError;
use super::token::{Ended, Logout, TokenError};
use super::{note_denied, of};
use crate::codes;
use crate::state::App;

/// Longer than any token is believed, so that none is believed twice.
const REMEMBERED: Duration = Duration::from_secs(1200);
/// What the audit log calls this.
const ACTION: &str = "session.back-channel-logout";

/// Ends the sessions of which the issuer says that they have ended there.
pub async fn logout(
    State(app): State<Arc<App>>,
    context: RequestContext,
    form: FormBody,
) -> Result<Response, Problem> {
    let token = form.field("logout_token").ok_or_else(|| {
        Problem::new(&codes::LOGOUT_TOKEN_INVALID).detail("The form has no field `logout_token`.")
    })?;
    let believed = match of(&app)?.issuer.logout(&token).await {
        Ok(logout) if is_known(&app, &logout).await? => Err(TokenError::Replayed),
        Ok(logout) => Ok(logout),
        Err(IssuerError::Token(error)) => Err(error),
        Err(error) => return Err(error.into()),
    };
    let logout = match believed {
        Ok(logout) => logout,
        Err(error) => return Err(refused(&app, &context, error).await?),
    };
    // Ended first: where anything fails, the issuer tries again with the same token, and ending again does no harm.
    end(&app, &context, &logout.ended).await?;
    remember(&app, &logout).await?;
    Ok([(CACHE_CONTROL, "no-store")].into_response())
}

async fn end(app: &App, context: &RequestContext, ended: &Ended) -> Result<(), Problem> {
    let mut unit = app.writes.begin_without_key(&Origin::of(None, context)).await?;
    let sessions = &app.authentication.sessions;
    let (by, count) = match ended {
        Ended::Session(sid) => ("sid", sessions.revoke_sid(sid).await?),
        Ended::Subject(subject) => ("sub", sessions.revoke_subject(subject).await?),
    };
    unit.audit(Event::new(ACTION, "session").changed("by", (), by).changed("sessions", count, 0));
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.map(drop)
}

/// What the issuer has signed and is refused nevertheless is written down. What it has not signed is anybody's, and the
/// log has it.
async fn refused(app: &App, context: &RequestContext, error: TokenError) -> Result<Problem, Problem> {
    tracing::warn!(%error, "a logout token was refused");
    if !matches!(error, TokenError::Jwt(_)) {
        note_denied(app, context, ACTION, error.reason()).await?;
    }
    Ok(Problem::new(&codes::LOGOUT_TOKEN_INVALID).detail(format!("The token is refused: {error}.")))
}

/// Whether the token was used before.
async fn is_known(app: &App, logout: &Logout) -> Result<bool, ValkeyError> {
    app.stores.durable.ask(redis::cmd("EXISTS").arg(key(logout))).await
}

async fn remember(app: &App, logout: &Logout) -> Result<(), ValkeyError> {
    let mut remember = redis::cmd("SET");
    remember.arg(key(logout)).arg(1).arg("EX").arg(REMEMBERED.as_secs());
    app.stores.durable.ask(&remember).await
}

fn key(logout: &Logout) -> String {
    format!("app:sign-in:logout:{}", URL_SAFE_NO_PAD.encode(digest(&SHA256, logout.id.as_bytes())))
}
