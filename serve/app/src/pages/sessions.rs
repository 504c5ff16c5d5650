//! Pages of the person who is signed in: who that is, and where else.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use foundation::auth::session::clear_cookie;
use foundation::extract::Path;
use foundation::page::Page;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use uuid::Uuid;

use super::form::{Form, Refused, Submitted, done};
use super::notice::Notice;
use super::query::{self, Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::sessions::list::{Filter, find};
use crate::sessions::{Session, revoke as end, revoke_all as end_all};
use crate::state::App;

#[derive(Template)]
#[template(path = "sessions.html")]
struct ListPage<'a> {
    shell: Shell<'a>,
    sessions: Page<Session>,
    form: Form,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /sessions`
pub async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<Filter>,
) -> Result<Response, Problem> {
    let form = Form::new(&app, &visitor);
    listed(&app, &visitor, &query, form, StatusCode::OK).await
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    query: &PageQuery<Filter>,
    form: Form,
    status: StatusCode,
) -> Result<Response, Problem> {
    let sessions = find(app, &visitor.actor, &query.asked).await?;
    let page = ListPage {
        shell: Shell::new(visitor, Section::Own).noting(query.notice),
        form,
        first: query::first(&query.uri),
        next: query::next(&query.uri, sessions.next_cursor.as_ref()),
        sessions,
    };
    show::page_with(status, &page)
}

async fn again(app: &App, visitor: &Visitor, refused: Refused) -> Result<Response, Problem> {
    let status = refused.refusal.status();
    let form = Form::again(app, visitor, refused);
    listed(app, visitor, &PageQuery::plain("/sessions"), form, status).await
}

/// `POST /sessions/{id}/revoke`
pub async fn revoke(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    let this_one = visitor.person.session_id == id;
    submitted
        .perform_own(&app, &visitor, async |unit, _| {
            end::apply(&app, unit, &visitor.actor, id).await?;
            Ok(if this_one { signed_out() } else { done("/sessions", Notice::Ended) })
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, refused).await)
        .await
}

/// `POST /sessions/revoke`
pub async fn revoke_all(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    submitted
        .perform_own(&app, &visitor, async |unit, _| {
            end_all::apply(&app, unit, &visitor.actor).await?;
            Ok(signed_out())
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, refused).await)
        .await
}

/// Where somebody is whose session has ended.
fn signed_out() -> Answer {
    Answer::see_other("/").header(SET_COOKIE, clear_cookie())
}
