//! Pages of webhooks and of what was delivered to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::extract::Path;
use foundation::page::Page;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use serde::Deserialize;
use uuid::Uuid;

use super::form::{self, Form, Outcome, Refused, Submitted, Version, Versioned, done};
use super::notice::Notice;
use super::query::{self, Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::deliveries::list::Filter as DeliveryFilter;
use crate::deliveries::{self, Delivery, DeliveryState};
use crate::events::{EventType, TYPES};
use crate::overlap::Overlap;
use crate::state::App;
use crate::webhooks::create::{self, NewWebhook};
use crate::webhooks::destination::Destination;
use crate::webhooks::list::{self, Filter};
use crate::webhooks::update::{self, WebhookChange};
use crate::webhooks::{
    DisabledReason, WRITE, Webhook, delete as away, rotate_secret as replace, show as one, test as try_it,
};
use foundation::text::Prose;

#[derive(Template)]
#[template(path = "webhooks/list.html")]
struct ListPage<'a> {
    shell: Shell<'a>,
    may_write: bool,
    webhooks: Page<Webhook>,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /webhooks`
pub async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<Filter>,
) -> Result<Response, Problem> {
    let webhooks = list::find(&app, &visitor.actor, &visitor.context, &query.asked).await?;
    show::page(&ListPage {
        shell: Shell::new(&visitor, Section::Webhooks).noting(query.notice),
        may_write: visitor.may(&WRITE),
        first: query::first(&query.uri),
        next: query::next(&query.uri, webhooks.next_cursor.as_ref()),
        webhooks,
    })
}

#[derive(Template)]
#[template(path = "webhooks/edit.html")]
struct EditPage<'a> {
    shell: Shell<'a>,
    /// None for a new one.
    webhook: Option<&'a Webhook>,
    form: Form,
}

/// `GET /webhooks/new`
pub async fn new(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let form = Form::new(&app, &visitor);
    show::page(&EditPage { shell: Shell::new(&visitor, Section::Webhooks), webhook: None, form })
}

/// What an answer says of a webhook whose secret is new.
#[derive(Deserialize)]
struct WithSecret {
    id: Uuid,
    url: String,
    secret: String,
}

#[derive(Template)]
#[template(path = "webhooks/secret.html")]
struct SecretPage<'a> {
    shell: Shell<'a>,
    webhook: WithSecret,
}

/// The page that shows the secret, where the answer has one.
async fn secret(visitor: &Visitor, response: Response) -> Result<Response, Problem> {
    if response.status() != StatusCode::CREATED {
        return Ok(response);
    }
    let shell = Shell::new(visitor, Section::Webhooks);
    show::page_with(StatusCode::CREATED, &SecretPage { shell, webhook: form::read(response).await? })
}

/// `POST /webhooks`
pub async fn create(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<NewWebhook>,
) -> Result<Response, Problem> {
    let outcome = submitted
        .perform(&app, &visitor, &WRITE, async |unit, new| {
            let made = create::insert(&app, unit, &visitor.actor, new).await?;
            Ok(Answer::json(StatusCode::CREATED, &made)?.secret())
        })
        .await?;
    match outcome {
        Outcome::Answered(response) => secret(&visitor, response).await,
        Outcome::Again(refused) => {
            let status = refused.refusal.status();
            let form = Form::again(&app, &visitor, refused);
            let shell = Shell::new(&visitor, Section::Webhooks);
            show::page_with(status, &EditPage { shell, webhook: None, form })
        }
    }
}

#[derive(Template)]
#[template(path = "webhooks/show.html")]
struct ShowPage<'a> {
    shell: Shell<'a>,
    webhook: Webhook,
    deliveries: Page<Delivery>,
    state: Option<DeliveryState>,
    form: Form,
    may_write: bool,
    first: Option<String>,
    next: Option<String>,
}

impl ShowPage<'_> {
    fn is_of(&self, state: &DeliveryState) -> bool {
        self.state.as_ref() == Some(state)
    }
}

/// `GET /webhooks/{id}`
pub async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    query: PageQuery<DeliveryFilter>,
) -> Result<Response, Problem> {
    let form = Form::new(&app, &visitor);
    shown(&app, &visitor, id, &query, form, StatusCode::OK).await
}

async fn shown(
    app: &App,
    visitor: &Visitor,
    id: Uuid,
    query: &PageQuery<DeliveryFilter>,
    form: Form,
    status: StatusCode,
) -> Result<Response, Problem> {
    let webhook = one::find(app, &visitor.actor, &visitor.context, id).await?;
    let deliveries = deliveries::list::find(app, &visitor.actor, &visitor.context, id, &query.asked).await?;
    let page = ShowPage {
        shell: Shell::new(visitor, Section::Webhooks).noting(query.notice),
        webhook,
        state: query.asked.state,
        form,
        may_write: visitor.may(&WRITE),
        first: query::first(&query.uri),
        next: query::next(&query.uri, deliveries.next_cursor.as_ref()),
        deliveries,
    };
    show::page_with(status, &page)
}

/// The webhook as it is now, and why nothing was done.
async fn again(app: &App, visitor: &Visitor, id: Uuid, refused: Refused) -> Result<Response, Problem> {
    let status = refused.refusal.status();
    let form = Form::again(app, visitor, refused);
    shown(app, visitor, id, &PageQuery::plain("/webhooks"), form, status).await
}

/// `GET /webhooks/{id}/edit`
pub async fn edit(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let webhook = one::find(&app, &visitor.actor, &visitor.context, id).await?;
    let form = Form::new(&app, &visitor)
        .with("url", &*webhook.url)
        .with("description", &*webhook.description)
        .with("version", webhook.version.to_string());
    let form = webhook.events.iter().fold(form, |form, kind| form.with("events", kind));
    let form = if webhook.enabled { form.with("enabled", "true") } else { form };
    let shell = Shell::new(&visitor, Section::Webhooks);
    show::page(&EditPage { shell, webhook: Some(&webhook), form })
}

/// The fields of a webhook that is changed.
#[derive(Debug, Deserialize)]
pub struct EditForm {
    url: Destination,
    #[serde(default)]
    description: Prose<10_000>,
    #[serde(default)]
    events: BTreeSet<EventType>,
    #[serde(default)]
    enabled: bool,
    version: Version,
}

/// `POST /webhooks/{id}`
pub async fn update(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<EditForm>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, form| {
            let condition = form.version.condition();
            let change = WebhookChange {
                url: Some(form.url),
                description: Some(form.description),
                events: Some(form.events),
                enabled: Some(form.enabled),
            };
            update::apply(&app, unit, &visitor.actor, id, &condition, change).await?;
            Ok(done(&format!("/webhooks/{id}"), Notice::Saved))
        })
        .await?
        .or_again(async |refused| {
            let webhook = one::find(&app, &visitor.actor, &visitor.context, id).await?;
            let (status, is_conflict) = (refused.refusal.status(), refused.refusal.is_conflict());
            let mut form = Form::again(&app, &visitor, refused);
            if is_conflict {
                let now = [("url", webhook.url.clone()), ("description", webhook.description.clone())];
                form = form.beside(webhook.version, now);
            }
            let shell = Shell::new(&visitor, Section::Webhooks);
            show::page_with(status, &EditPage { shell, webhook: Some(&webhook), form })
        })
        .await
}

/// `POST /webhooks/{id}/delete`
pub async fn delete(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Versioned>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, form| {
            away::apply(unit, &visitor.actor, id, &form.version.condition()).await?;
            Ok(done("/webhooks", Notice::Deleted))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, id, refused).await)
        .await
}

/// `POST /webhooks/{id}/rotate`
pub async fn rotate(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Overlap>,
) -> Result<Response, Problem> {
    let outcome = submitted
        .perform(&app, &visitor, &WRITE, async |unit, overlap| {
            let rotated = replace::apply(&app, unit, &visitor.actor, id, &overlap).await?;
            Ok(Answer::json(StatusCode::CREATED, &rotated)?.secret())
        })
        .await?;
    match outcome {
        Outcome::Answered(response) => secret(&visitor, response).await,
        Outcome::Again(refused) => again(&app, &visitor, id, refused).await,
    }
}

/// `POST /webhooks/{id}/test`
pub async fn test(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, _| {
            let delivery = try_it::apply(unit, &visitor.actor, id).await?;
            Ok(done(&format!("/deliveries/{}", delivery.id), Notice::Sent))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, id, refused).await)
        .await
}
