//! Pages of invitations: making them, taking them back, and accepting one by its link.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, State as Shared};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};
use foundation::auth::actor::Actor;
use foundation::extract::Path;
use foundation::page::Page;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::write::Place;
use foundation::write::idempotency::Answer;
use serde::Deserialize;
use uuid::Uuid;

use super::form::{self, Form, Outcome, Submitted, done};
use super::members::roles_to_give;
use super::notice::Notice;
use super::query::{self, Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::invitations::accept::{self, Acceptance, Offer};
use crate::invitations::create::{self, NewInvitation};
use crate::invitations::list::{Filter, find};
use crate::invitations::secret::Secret;
use crate::invitations::{Invitation, State, delete};
use crate::members::WRITE;
use crate::organizations::enter;
use crate::role::Role;
use crate::state::App;

#[derive(Template)]
#[template(path = "members/invitations.html")]
struct ListPage<'a> {
    shell: Shell<'a>,
    invitations: Page<Invitation>,
    state: Option<State>,
    may_write: bool,
    form: Form,
    first: Option<String>,
    next: Option<String>,
}

impl ListPage<'_> {
    fn is_of(&self, state: &State) -> bool {
        self.state.as_ref() == Some(state)
    }

    fn may_revoke(&self, invitation: &Invitation) -> bool {
        let is_over = matches!(invitation.state, State::Accepted | State::Revoked);
        self.may_write && !is_over && Some(invitation.role) <= self.shell.visitor.role()
    }
}

/// `GET /members/invitations`
pub async fn list(
    Shared(app): Shared<Arc<App>>,
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
    let invitations = find(app, &visitor.actor, &visitor.context, organization, &query.asked).await?;
    let page = ListPage {
        shell: Shell::new(visitor, Section::Members).noting(query.notice),
        state: query.asked.state,
        may_write: visitor.may(&WRITE),
        form,
        first: query::first(&query.uri),
        next: query::next(&query.uri, invitations.next_cursor.as_ref()),
        invitations,
    };
    show::page_with(status, &page)
}

#[derive(Template)]
#[template(path = "members/invite.html")]
struct NewPage<'a> {
    shell: Shell<'a>,
    roles: Vec<(Role, &'static str)>,
    is_mailed: bool,
    form: Form,
}

/// `GET /members/invitations/new`
pub async fn new(Shared(app): Shared<Arc<App>>, visitor: Visitor) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let form = Form::new(&app, &visitor).with("role", Role::Member.as_str());
    asked_again(&app, &visitor, form, StatusCode::OK)
}

fn asked_again(app: &App, visitor: &Visitor, form: Form, status: StatusCode) -> Result<Response, Problem> {
    let (shell, roles) = (Shell::new(visitor, Section::Members), roles_to_give(visitor));
    show::page_with(status, &NewPage { shell, roles, is_mailed: app.mail.is_some(), form })
}

/// What an answer says of an invitation that was made.
#[derive(Deserialize)]
struct Invited {
    link: String,
    mailed: bool,
    invitation: Whom,
}

#[derive(Deserialize)]
struct Whom {
    email: String,
}

#[derive(Template)]
#[template(path = "members/invited.html")]
struct InvitedPage<'a> {
    shell: Shell<'a>,
    invited: Invited,
}

/// `POST /members/invitations`
pub async fn create(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<NewInvitation>,
) -> Result<Response, Problem> {
    let organization = visitor.workplace()?.id;
    let outcome = submitted
        .perform(&app, &visitor, &WRITE, async |unit, new| {
            let invited = create::insert(unit, &app, &visitor.actor, organization, new).await?;
            Ok(Answer::json(StatusCode::CREATED, &invited)?.secret())
        })
        .await?;
    match outcome {
        Outcome::Answered(response) if response.status() == StatusCode::CREATED => {
            let invited = form::read(response).await?;
            let shell = Shell::new(&visitor, Section::Members);
            show::page_with(StatusCode::CREATED, &InvitedPage { shell, invited })
        }
        Outcome::Answered(response) => Ok(response),
        Outcome::Again(refused) => {
            let status = refused.refusal.status();
            asked_again(&app, &visitor, Form::again(&app, &visitor, refused), status)
        }
    }
}

/// `POST /members/invitations/{id}/revoke`
pub async fn revoke(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    let organization = visitor.workplace()?.id;
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, _| {
            delete::apply(unit, &visitor.actor, organization, id).await?;
            Ok(done("/members/invitations", Notice::Revoked))
        })
        .await?
        .or_again(async |refused| {
            let status = refused.refusal.status();
            let form = Form::again(&app, &visitor, refused);
            listed(&app, &visitor, &PageQuery::plain("/members/invitations"), form, status).await
        })
        .await
}

/// Somebody who has a link, signed in or not.
pub struct Guest(Option<Visitor>);

impl FromRequestParts<Arc<App>> for Guest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let signed_in = parts.extensions.get::<Actor>().is_some();
        if signed_in {
            Visitor::from_request_parts(parts, app).await.map(Some).map(Self)
        } else {
            Ok(Self(None))
        }
    }
}

#[derive(Template)]
#[template(path = "members/offer.html")]
struct OfferPage<'a> {
    visitor: Option<&'a Visitor>,
    offer: &'a Offer,
    secret: &'a str,
    form: Option<Form>,
}

/// `GET /invitations/{secret}`
pub async fn offer(
    Shared(app): Shared<Arc<App>>,
    context: RequestContext,
    Guest(visitor): Guest,
    Path(secret): Path<String>,
) -> Result<Response, Problem> {
    let offer = accept::look_up(&app, &context, &Secret::shown(&*secret)).await?;
    let form = visitor.as_ref().map(|visitor| Form::new(&app, visitor));
    show::page(&OfferPage { visitor: visitor.as_ref(), offer: &offer, secret: &secret, form })
}

/// `POST /memberships`: the link's secret is in the form, since paths are kept with keys.
pub async fn join(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<Acceptance>,
) -> Result<Response, Problem> {
    let secret = submitted.value("invitation").to_owned();
    let offer = accept::look_up(&app, &visitor.context, &Secret::shown(&*secret)).await?;
    let organization = offer.organization;
    let outcome = submitted
        .perform_in(Place::Other(organization), &app, &visitor, async |unit, _| {
            accept::apply(unit, &visitor.person, &offer).await?;
            Ok(Answer::empty(StatusCode::CREATED))
        })
        .await?;
    match outcome {
        Outcome::Answered(response) if response.status() == StatusCode::CREATED => {
            enter(&app, &visitor.person, organization).await;
            Ok(Redirect::to(&Notice::Joined.at("/")).into_response())
        }
        Outcome::Answered(response) => Ok(response),
        Outcome::Again(refused) => {
            let status = refused.refusal.status();
            let form = Some(Form::again(&app, &visitor, refused));
            let page = OfferPage { visitor: Some(&visitor), offer: &offer, secret: &secret, form };
            show::page_with(status, &page)
        }
    }
}
