//! `POST /sign-out`

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::audit::{Event, Origin};
use foundation::auth::actor::Actor;
use foundation::auth::session::clear_cookie;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::write::idempotency::Answer;

use super::redirect;
use crate::state::App;

/// Where one is after signing out.
const AFTERWARDS: &str = "/";

/// Ends the session, and then the one at the issuer (OpenID Connect RP-Initiated Logout 1.0).
pub async fn sign_out(
    State(app): State<Arc<App>>,
    context: RequestContext,
    actor: Option<Extension<Actor>>,
) -> Result<Response, Problem> {
    // Whose session has ended before is signed out already.
    let next = match actor {
        Some(Extension(actor)) => {
            let id_token = end(&app, &context, &actor).await?;
            at_issuer(&app, id_token.as_deref()).await
        }
        None => None,
    };
    Ok(redirect(next.as_deref().unwrap_or(AFTERWARDS), [clear_cookie()]))
}

/// Ends the session by which the person asks; returns what the issuer said of the person when it began.
///
/// # Errors
/// A problem `people-only`, or one of the stores.
async fn end(app: &App, context: &RequestContext, actor: &Actor) -> Result<Option<String>, Problem> {
    let person = actor.person_or_refuse()?;
    let mut unit = app.writes.begin_without_key(&Origin::of(Some(actor), context)).await?;
    let sessions = &app.authentication.sessions;
    let id_token = sessions.find(&person.session).await?.and_then(|session| session.id_token);
    sessions.end(&person.session).await?;
    unit.audit(Event::new("session.sign-out", "session").of(person.session_id));
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await?;
    Ok(id_token)
}

/// Where the issuer ends its own session; nothing where it has no such place or does not answer.
async fn at_issuer(app: &App, id_token: Option<&str>) -> Option<String> {
    let issuer = &app.sign_in.as_ref()?.issuer;
    let mut url = issuer.description().await.ok()?.end_session_endpoint.clone()?;
    let afterwards = app.public_url.join(AFTERWARDS).ok()?;
    let mut query = url.query_pairs_mut();
    query.append_pair("client_id", issuer.client_id());
    query.append_pair("post_logout_redirect_uri", afterwards.as_str());
    if let Some(id_token) = id_token {
        query.append_pair("id_token_hint", id_token);
    }
    drop(query);
    Some(url.into())
}
