//! `GET /api/v1/sessions`

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::extract::Query;
use foundation::openapi::Rules;
use foundation::page::{Page, PageRequest};
use foundation::problem::Problem;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Session;
use crate::state::App;

/// Which of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// Lists where you are signed in
///
/// The oldest come first; `current` is the session by which you ask.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", operation_id = "listSessions", params(Filter),
    responses((status = OK, description = "A page of sessions.", body = Page<Session>)),
    extensions(("x-rules" = json!(Rules::person().paged())))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    actor: Actor,
    uri: Uri,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    Ok(find(&app, &actor, &filter).await?.answer(&uri))
}

/// The page of sessions of the person who asks.
///
/// # Errors
/// A problem `people-only`, `bad-limit` or `bad-cursor`, or one of Valkey.
pub async fn find(app: &App, actor: &Actor, filter: &Filter) -> Result<Page<Session>, Problem> {
    let person = actor.person_or_refuse()?;
    let list = format!("sessions {}", person.id);
    let page = PageRequest::read(filter.limit.as_deref(), filter.cursor.as_deref(), &app.cursors, &list)?;
    let all = app.authentication.sessions.list(person.id).await?;
    let mut sessions: Vec<Session> =
        all.into_iter().map(|session| Session::of(session, person.session_id)).collect();
    sessions.sort_by_key(|session| (session.created_at, session.id));
    if let Some(after) = page.after() {
        sessions.retain(|session| (session.created_at, session.id) > (after.at, after.id));
    }
    Ok(Page::new(sessions, &page, Session::position, &app.cursors, &list))
}
