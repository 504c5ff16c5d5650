//! Pages of the organization in which the person works: its name, an export, leaving and deleting it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::problem::{Problem, codes};
use foundation::write::idempotency::Answer;
use serde::Deserialize;

use super::form::{Form, Refused, Submitted, Version, done};
use super::notice::Notice;
use super::query::{Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::organizations::update::{self, OrganizationChange};
use crate::organizations::{Organization, WRITE, delete as away, export, show as one};
use crate::state::App;
use foundation::text::Line;

#[derive(Template)]
#[template(path = "organizations/settings.html")]
struct SettingsPage<'a> {
    shell: Shell<'a>,
    organization: Organization,
    form: Form,
    may_write: bool,
    may_export: bool,
}

impl SettingsPage<'_> {
    fn reminder(&self) -> String {
        format!("It is called “{}”.", self.organization.name)
    }
}

/// `GET /settings`
pub async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<Nothing>,
) -> Result<Response, Problem> {
    let organization = current(&app, &visitor).await?;
    let form = Form::new(&app, &visitor)
        .with("name", &*organization.name)
        .with("version", organization.version.to_string());
    shown(&visitor, organization, form, query.notice, StatusCode::OK)
}

async fn current(app: &App, visitor: &Visitor) -> Result<Organization, Problem> {
    one::find(app, &visitor.actor, &visitor.context, visitor.workplace()?.id).await
}

fn shown(
    visitor: &Visitor,
    organization: Organization,
    form: Form,
    notice: Option<Notice>,
    status: StatusCode,
) -> Result<Response, Problem> {
    let page = SettingsPage {
        shell: Shell::new(visitor, Section::Settings).noting(notice),
        organization,
        form,
        may_write: visitor.may(&WRITE),
        may_export: export::NEEDED.iter().all(|scope| visitor.may(scope)),
    };
    show::page_with(status, &page)
}

async fn again(app: &App, visitor: &Visitor, refused: Refused) -> Result<Response, Problem> {
    let organization = current(app, visitor).await?;
    let (status, is_conflict) = (refused.refusal.status(), refused.refusal.is_conflict());
    let mut form = Form::again(app, visitor, refused);
    if is_conflict {
        form = form.beside(organization.version, [("name", organization.name.clone())]);
    }
    if form.value("name").is_empty() {
        form = form.with("name", &*organization.name);
    }
    shown(visitor, organization, form, None, status)
}

/// The fields of an organization that is changed.
#[derive(Debug, Deserialize)]
pub struct EditForm {
    name: Line<100>,
    version: Version,
}

/// `POST /settings`
pub async fn update(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<EditForm>,
) -> Result<Response, Problem> {
    let id = visitor.workplace()?.id;
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, form| {
            let change = OrganizationChange { name: Some(form.name) };
            update::apply(unit, &visitor.actor, id, &form.version.condition(), change).await?;
            Ok(done("/settings", Notice::Saved))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, refused).await)
        .await
}

/// The form that deletes an organization: whoever sends it has typed its name.
#[derive(Debug, Deserialize)]
pub struct DeleteForm {
    confirmation: String,
    version: Version,
}

/// `POST /settings/delete`
pub async fn delete(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<DeleteForm>,
) -> Result<Response, Problem> {
    let workplace = visitor.workplace()?;
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, form| {
            if form.confirmation.trim() != workplace.name {
                let detail = "This is not the organization's name.";
                return Err(Problem::new(&codes::VALIDATION_FAILED).error("/confirmation", "other", detail));
            }
            away::apply(unit, &visitor.actor, workplace.id, &form.version.condition()).await?;
            Ok(Answer::see_other(&Notice::Deleted.at("/organizations")))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, refused).await)
        .await
}
