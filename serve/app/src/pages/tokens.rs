//! Pages of tokens: minting one, which is shown once, and what became of it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::auth::scope::{Access, Scope};
use foundation::extract::Path;
use foundation::page::MAX_LIMIT;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use time::{Date, Duration, OffsetDateTime, Time};
use uuid::Uuid;

use super::form::{self, Form, Outcome, Refused, Submitted, done, lines};
use super::notice::Notice;
use super::query::{Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::agents::{self, Agent};
use crate::overlap::Overlap;
use crate::projects::{self, Project};
use crate::role::{KnownScope, all_scopes};
use crate::state::App;
use crate::tokens::mint::{self, NewToken};
use crate::tokens::network::Network;
use crate::tokens::{Token, WRITE, revoke as end, rotate as replace, show as one};
use foundation::text::Line;

/// A token lasts so long unless something else is said.
const DAYS: i64 = 90;
/// The longest that a token lasts, to the end of its last day.
const MOST_DAYS: i64 = 365;

/// How long the old secret stays good beside a new one: seconds, and what people read.
pub const OVERLAPS: [(&str, &str); 4] = [
    ("3600", "One hour"),
    ("86400", "One day"),
    ("604800", "One week"),
    ("0", "Not at all: the old one is refused at once"),
];

/// Whether a token is `good`, `expired` or `revoked`.
pub fn standing(token: &Token, now: &OffsetDateTime) -> &'static str {
    match token.revoked_at {
        Some(_) => "revoked",
        None if token.expires_at <= *now => "expired",
        None => "good",
    }
}

/// What may be done with one kind of resource, as far as the person may do it.
struct Row {
    resource: String,
    read: Option<String>,
    write: Option<String>,
}

/// The scopes that the person may hand on, a resource a row.
fn rows(visitor: &Visitor) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let all = all_scopes();
    for scope in all.iter().filter(|scope| visitor.may(scope)) {
        if rows.last().is_none_or(|row| row.resource != scope.resource()) {
            rows.push(Row { resource: scope.resource().to_owned(), read: None, write: None });
        }
        if let Some(row) = rows.last_mut() {
            *place_of(row, scope) = Some(scope.to_string());
        }
    }
    rows
}

fn place_of<'a>(row: &'a mut Row, scope: &Scope) -> &'a mut Option<String> {
    match scope.access() {
        Access::Read => &mut row.read,
        Access::Write => &mut row.write,
    }
}

#[derive(Template)]
#[template(path = "tokens/new.html")]
struct NewPage<'a> {
    shell: Shell<'a>,
    agent: Agent,
    rows: Vec<Row>,
    projects: Vec<Project>,
    form: Form,
    today: Date,
    last_day: Date,
}

impl NewPage<'_> {
    fn is_chosen(&self, project: &Uuid) -> bool {
        self.form.has("resources", &project.to_string())
    }
}

/// `GET /agents/{id}/tokens/new`
pub async fn new(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(agent): Path<Uuid>,
) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let last_day = app.clock.now().date() + Duration::days(DAYS);
    let form = Form::new(&app, &visitor).with("expires_at", filters::iso(last_day));
    asked(&app, &visitor, agent, form, StatusCode::OK).await
}

async fn asked(
    app: &App,
    visitor: &Visitor,
    agent: Uuid,
    form: Form,
    status: StatusCode,
) -> Result<Response, Problem> {
    let most = projects::list::Filter { limit: Some(MAX_LIMIT.to_string()), ..Default::default() };
    let (actor, context) = (&visitor.actor, &visitor.context);
    let agent = agents::show::find(app, actor, context, agent);
    let projects = projects::list::find(app, actor, context, &most);
    let (agent, projects) = tokio::try_join!(agent, projects)?;
    let today = app.clock.now().date();
    let page = NewPage {
        shell: Shell::new(visitor, Section::Agents),
        agent,
        rows: rows(visitor),
        projects: projects.items,
        form,
        today,
        last_day: today + Duration::days(MOST_DAYS),
    };
    show::page_with(status, &page)
}

/// The fields of a new token.
#[derive(Debug, Deserialize)]
pub struct NewForm {
    name: Line<100>,
    #[serde(default)]
    scopes: Vec<KnownScope>,
    #[serde(default)]
    resources: Vec<Uuid>,
    #[serde(default, deserialize_with = "lines")]
    addresses: Option<Vec<Network>>,
    #[serde(default, deserialize_with = "end_of_day")]
    expires_at: Option<OffsetDateTime>,
}

/// The moment at which a day is over.
fn end_of_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
    let Some(day) = Option::<Date>::deserialize(deserializer)? else { return Ok(None) };
    let next = day.next_day().ok_or_else(|| D::Error::custom("this day is too far away"))?;
    Ok(Some(next.with_time(Time::MIDNIGHT).assume_utc()))
}

impl From<NewForm> for NewToken {
    fn from(form: NewForm) -> Self {
        let NewForm { name, scopes, resources, addresses, expires_at } = form;
        let resources = Some(resources).filter(|resources| !resources.is_empty());
        Self { name, scopes, resources, addresses, expires_at }
    }
}

/// What an answer says of a token that was minted.
#[derive(Deserialize)]
struct Minted {
    id: Uuid,
    agent_id: Uuid,
    name: String,
    secret: String,
}

#[derive(Template)]
#[template(path = "tokens/minted.html")]
struct MintedPage<'a> {
    shell: Shell<'a>,
    minted: Minted,
    site: &'a str,
}

async fn minted(app: &App, visitor: &Visitor, response: Response) -> Result<Response, Problem> {
    if response.status() != StatusCode::CREATED {
        return Ok(response);
    }
    let shell = Shell::new(visitor, Section::Agents);
    let page = MintedPage { shell, minted: form::read(response).await?, site: app.public_url.as_str() };
    show::page_with(StatusCode::CREATED, &page)
}

/// `POST /agents/{id}/tokens`
pub async fn mint(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(agent): Path<Uuid>,
    submitted: Submitted<NewForm>,
) -> Result<Response, Problem> {
    let outcome = submitted
        .perform(&app, &visitor, &WRITE, async |unit, form| {
            let minted = mint::insert(&app, unit, &visitor.actor, agent, form.into()).await?;
            Ok(Answer::json(StatusCode::CREATED, &minted)?.secret())
        })
        .await?;
    match outcome {
        Outcome::Answered(response) => minted(&app, &visitor, response).await,
        Outcome::Again(refused) => {
            let status = refused.refusal.status();
            asked(&app, &visitor, agent, Form::again(&app, &visitor, refused), status).await
        }
    }
}

#[derive(Template)]
#[template(path = "tokens/show.html")]
struct ShowPage<'a> {
    shell: Shell<'a>,
    token: Token,
    agent: Agent,
    standing: &'static str,
    may_write: bool,
    form: Form,
}

impl ShowPage<'_> {
    fn is(&self, standing: &str) -> bool {
        self.standing == standing
    }
}

/// `GET /tokens/{id}`
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
    let token = one::find(app, &visitor.actor, &visitor.context, id).await?;
    let agent = agents::show::find(app, &visitor.actor, &visitor.context, token.agent_id).await?;
    let page = ShowPage {
        shell: Shell::new(visitor, Section::Agents).noting(notice),
        standing: standing(&token, &app.clock.now()),
        token,
        agent,
        may_write: visitor.may(&WRITE),
        form,
    };
    show::page_with(status, &page)
}

async fn again(app: &App, visitor: &Visitor, id: Uuid, refused: Refused) -> Result<Response, Problem> {
    let status = refused.refusal.status();
    shown(app, visitor, id, Form::again(app, visitor, refused), None, status).await
}

/// `POST /tokens/{id}/rotate`
pub async fn rotate(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Overlap>,
) -> Result<Response, Problem> {
    let outcome = submitted
        .perform(&app, &visitor, &WRITE, async |unit, overlap| {
            let minted = replace::apply(&app, unit, &visitor.actor, id, &overlap).await?;
            Ok(Answer::json(StatusCode::CREATED, &minted)?.secret())
        })
        .await?;
    match outcome {
        Outcome::Answered(response) => minted(&app, &visitor, response).await,
        Outcome::Again(refused) => again(&app, &visitor, id, refused).await,
    }
}

/// `POST /tokens/{id}/revoke`
pub async fn revoke(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, _| {
            end::apply(&app, unit, &visitor.actor, id).await?;
            Ok(done(&format!("/tokens/{id}"), Notice::Revoked))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, id, refused).await)
        .await
}
