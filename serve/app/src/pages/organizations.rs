//! Pages of a person's organizations: which there are, making one, entering another, restoring one that was deleted.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use foundation::clock::new_id;
use foundation::extract::Path;
use foundation::page::MAX_LIMIT;
use foundation::problem::Problem;
use foundation::write::Place;
use foundation::write::idempotency::Answer;
use serde::Deserialize;
use uuid::Uuid;

use super::form::{self, Form, Outcome, Refused, Submitted, done};
use super::notice::Notice;
use super::query::{Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::organizations::create::{self, NewOrganization};
use crate::organizations::list::{Belonging, Filter, find};
use crate::organizations::{enter as enter_now, restore as back};
use crate::sessions;
use crate::state::App;

#[derive(Template)]
#[template(path = "organizations/list.html")]
struct ListPage<'a> {
    shell: Shell<'a>,
    belongings: Vec<Belonging>,
    deleted: Vec<Belonging>,
    form: Form,
}

impl ListPage<'_> {
    /// Whether the person works in it now.
    fn is_current(&self, belonging: &Belonging) -> bool {
        self.shell.visitor.actor.organization() == Some(belonging.organization.id)
    }
}

/// `GET /organizations`
pub async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<Nothing>,
) -> Result<Response, Problem> {
    let form = Form::new(&app, &visitor);
    listed(&app, &visitor, form, query.notice, StatusCode::OK).await
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    form: Form,
    notice: Option<Notice>,
    status: StatusCode,
) -> Result<Response, Problem> {
    let limit = Some(MAX_LIMIT.to_string());
    let filter = Filter { deleted: false, limit: limit.clone(), cursor: None };
    let filter_deleted = Filter { deleted: true, limit, cursor: None };
    let (actor, context) = (&visitor.actor, &visitor.context);
    let (belongings, deleted) =
        tokio::try_join!(find(app, actor, context, &filter), find(app, actor, context, &filter_deleted))?;
    let shell = Shell::new(visitor, Section::Own).noting(notice);
    let page = ListPage { shell, belongings: belongings.items, deleted: deleted.items, form };
    show::page_with(status, &page)
}

async fn again(app: &App, visitor: &Visitor, refused: Refused) -> Result<Response, Problem> {
    let status = refused.refusal.status();
    listed(app, visitor, Form::again(app, visitor, refused), None, status).await
}

/// What an answer says of an organization that was made.
#[derive(Deserialize)]
struct Made {
    id: Uuid,
}

/// `POST /organizations`
pub async fn create(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<NewOrganization>,
) -> Result<Response, Problem> {
    let id = new_id(&*app.clock, &*app.randomness);
    let outcome = submitted
        .perform_in(Place::Other(id), &app, &visitor, async |unit, new| {
            Answer::json(StatusCode::CREATED, &create::insert(unit, &visitor.person, new).await?)
        })
        .await?;
    match outcome {
        Outcome::Answered(response) => {
            if response.status() != StatusCode::CREATED {
                return Ok(response);
            }
            // Where the form was sent twice, the one of the first time.
            let made: Made = form::read(response).await?;
            enter_now(&app, &visitor.person, made.id).await;
            Ok(Redirect::to(&Notice::Made.at("/")).into_response())
        }
        Outcome::Again(refused) => again(&app, &visitor, refused).await,
    }
}

/// `POST /organizations/{id}/enter`
pub async fn enter(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    submitted
        .perform_own(&app, &visitor, async |unit, _| {
            sessions::enter::apply(&app, unit, &visitor.actor, id).await?;
            Ok(Answer::see_other("/"))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, refused).await)
        .await
}

/// `POST /organizations/{id}/restore`
pub async fn restore(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    submitted
        .perform_in(Place::Other(id), &app, &visitor, async |unit, _| {
            back::apply(unit, &visitor.person, id).await?;
            Ok(done("/organizations", Notice::Restored))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, refused).await)
        .await
}
