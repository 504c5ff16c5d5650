//! Pages of the people of an organization.

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

use super::form::{Form, Refused, Submitted, Version, Versioned, done};
use super::notice::Notice;
use super::query::{self, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::members::list::{Filter, find};
use crate::members::update::{self, MemberChange};
use crate::members::{Member, WRITE, delete};
use crate::role::Role;
use crate::state::App;

/// Every role with what it may do, the highest first.
pub const ROLES: [(Role, &str); 4] = [
    (Role::Owner, "Changes and deletes the organization itself, and everything below."),
    (Role::Admin, "Manages members, agents, tokens and webhooks, and reads the audit log."),
    (Role::Member, "Changes projects and tasks."),
    (Role::Viewer, "Sees projects, tasks and members, and changes nothing."),
];

/// The roles that somebody may give: none above their own.
pub fn roles_to_give(visitor: &Visitor) -> Vec<(Role, &'static str)> {
    let may = visitor.may(&WRITE);
    ROLES.into_iter().filter(|(role, _)| may && Some(*role) <= visitor.role()).collect()
}

#[derive(Template)]
#[template(path = "members/list.html")]
struct ListPage<'a> {
    shell: Shell<'a>,
    members: Page<Member>,
    roles: Vec<(Role, &'static str)>,
    may_write: bool,
    form: Form,
    first: Option<String>,
    next: Option<String>,
}

impl ListPage<'_> {
    /// Whether the person may change this member.
    fn may_change(&self, member: &Member) -> bool {
        self.may_write && Some(member.role) <= self.shell.visitor.role()
    }

    fn is_self(&self, member: &Member) -> bool {
        self.shell.visitor.is(&member.person_id)
    }
}

/// `GET /members`
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
    let organization = visitor.workplace()?.id;
    let members = find(app, &visitor.actor, &visitor.context, organization, &query.asked).await?;
    let page = ListPage {
        shell: Shell::new(visitor, Section::Members).noting(query.notice),
        roles: roles_to_give(visitor),
        may_write: visitor.may(&WRITE),
        form,
        first: query::first(&query.uri),
        next: query::next(&query.uri, members.next_cursor.as_ref()),
        members,
    };
    show::page_with(status, &page)
}

/// The members as they are now, and why nothing was done.
async fn again(app: &App, visitor: &Visitor, refused: Refused) -> Result<Response, Problem> {
    let status = refused.refusal.status();
    let form = Form::again(app, visitor, refused);
    listed(app, visitor, &PageQuery::plain("/members"), form, status).await
}

/// What somebody is to be.
#[derive(Debug, Deserialize)]
pub struct RoleForm {
    role: Role,
    version: Version,
}

/// `POST /members/{id}/role`
pub async fn change_role(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(person): Path<Uuid>,
    submitted: Submitted<RoleForm>,
) -> Result<Response, Problem> {
    let organization = visitor.workplace()?.id;
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, form| {
            let (condition, change) = (form.version.condition(), MemberChange { role: Some(form.role) });
            update::apply(unit, &visitor.actor, (organization, person), &condition, change).await?;
            Ok(done("/members", Notice::Saved))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, refused).await)
        .await
}

/// `POST /members/{id}/remove`: somebody else, or oneself.
pub async fn remove(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(person): Path<Uuid>,
    submitted: Submitted<Versioned>,
) -> Result<Response, Problem> {
    let organization = visitor.workplace()?.id;
    let leaves = visitor.is(&person);
    if !leaves {
        visitor.actor.require(&WRITE)?;
    }
    submitted
        .perform_own(&app, &visitor, async |unit, form| {
            let condition = form.version.condition();
            delete::apply(unit, &visitor.actor, (organization, person), &condition).await?;
            Ok(if leaves {
                Answer::see_other(&Notice::Left.at("/organizations"))
            } else {
                done("/members", Notice::Removed)
            })
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, refused).await)
        .await
}
