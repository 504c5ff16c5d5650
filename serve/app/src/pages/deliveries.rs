//! Pages of deliveries: what was said to a webhook, how each attempt went, and saying it again.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::extract::Path;
use foundation::problem::Problem;
use uuid::Uuid;

use super::form::{Form, Submitted, done};
use super::notice::Notice;
use super::query::{Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::deliveries::show::{DeliveryWithAttempts, find};
use crate::deliveries::{DeliveryState, WRITE, replay as again};
use crate::state::App;
use crate::webhooks::{self, Webhook};

#[derive(Template)]
#[template(path = "webhooks/delivery.html")]
struct ShowPage<'a> {
    shell: Shell<'a>,
    webhook: Webhook,
    delivery: DeliveryWithAttempts,
    /// What the receiver is sent, for people.
    payload: String,
    form: Form,
    may_replay: bool,
}

/// `GET /deliveries/{id}`
pub async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    query: PageQuery<Nothing>,
) -> Result<Response, Problem> {
    let form = Form::new(&app, &visitor);
    shown(&app, &visitor, id, form, query.notice, StatusCode::OK).await
}

async fn shown(
    app: &App,
    visitor: &Visitor,
    id: Uuid,
    form: Form,
    notice: Option<Notice>,
    status: StatusCode,
) -> Result<Response, Problem> {
    let found = find(app, &visitor.actor, &visitor.context, id).await?;
    let webhook = found.delivery.webhook_id;
    let webhook = webhooks::show::find(app, &visitor.actor, &visitor.context, webhook).await?;
    let is_over = found.delivery.state != DeliveryState::Pending;
    let page = ShowPage {
        shell: Shell::new(visitor, Section::Webhooks).noting(notice),
        may_replay: is_over && webhook.enabled && visitor.may(&WRITE),
        webhook,
        payload: serde_json::to_string_pretty(&found.payload).unwrap_or_default(),
        delivery: found,
        form,
    };
    show::page_with(status, &page)
}

/// `POST /deliveries/{id}/replay`
pub async fn replay(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, _| {
            again::apply(unit, &visitor.actor, id).await?;
            Ok(done(&format!("/deliveries/{id}"), Notice::Sent))
        })
        .await?
        .or_again(async |refused| {
            let status = refused.refusal.status();
            let form = Form::again(&app, &visitor, refused);
            shown(&app, &visitor, id, form, None, status).await
        })
        .await
}
