//! Pages of agents.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::extract::Path;
use foundation::page::Page;
use foundation::problem::Problem;
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::form::{Form, Refused, Submitted, Version, Versioned, done};
use super::notice::Notice;
use super::query::{self, PageQuery};
use super::shell::{Section, Shell};
use super::tokens::standing;
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::agents::create::{self, NewAgent};
use crate::agents::list::{self, Filter};
use crate::agents::update::{self, AgentChange};
use crate::agents::{Agent, WRITE, delete, show as one};
use crate::state::App;
use crate::tokens::{self, Token};
use foundation::text::{Line, Prose};

#[derive(Template)]
#[template(path = "agents/list.html")]
struct ListPage<'a> {
    shell: Shell<'a>,
    may_write: bool,
    agents: Page<Agent>,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /agents`
pub async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<Filter>,
) -> Result<Response, Problem> {
    let agents = list::find(&app, &visitor.actor, &visitor.context, &query.asked).await?;
    show::page(&ListPage {
        shell: Shell::new(&visitor, Section::Agents).noting(query.notice),
        may_write: visitor.may(&WRITE),
        first: query::first(&query.uri),
        next: query::next(&query.uri, agents.next_cursor.as_ref()),
        agents,
    })
}

#[derive(Template)]
#[template(path = "agents/edit.html")]
struct EditPage<'a> {
    shell: Shell<'a>,
    /// None for a new one.
    agent: Option<&'a Agent>,
    form: Form,
}

/// `GET /agents/new`
pub async fn new(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let form = Form::new(&app, &visitor);
    show::page(&EditPage { shell: Shell::new(&visitor, Section::Agents), agent: None, form })
}

/// `POST /agents`
pub async fn create(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<NewAgent>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, new| {
            let agent = create::insert(unit, &visitor.actor, new).await?;
            Ok(done(&format!("/agents/{}", agent.id), Notice::Made))
        })
        .await?
        .or_again(async |refused| {
            let status = refused.refusal.status();
            let form = Form::again(&app, &visitor, refused);
            let shell = Shell::new(&visitor, Section::Agents);
            show::page_with(status, &EditPage { shell, agent: None, form })
        })
        .await
}

#[derive(Template)]
#[template(path = "agents/show.html")]
struct ShowPage<'a> {
    shell: Shell<'a>,
    agent: Agent,
    /// None where the person may not see them.
    tokens: Option<Page<Token>>,
    form: Form,
    now: OffsetDateTime,
    may_write: bool,
    may_mint: bool,
    first: Option<String>,
    next: Option<String>,
}

impl ShowPage<'_> {
    fn standing(&self, token: &Token) -> &'static str {
        standing(token, &self.now)
    }
}

/// Which page of the agent's tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TokensPage {
    cursor: Option<String>,
}

/// `GET /agents/{id}`
pub async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    query: PageQuery<TokensPage>,
) -> Result<Response, Problem> {
    let form = Form::new(&app, &visitor);
    shown(&app, &visitor, id, &query, form, StatusCode::OK).await
}

async fn shown(
    app: &App,
    visitor: &Visitor,
    id: Uuid,
    query: &PageQuery<TokensPage>,
    form: Form,
    status: StatusCode,
) -> Result<Response, Problem> {
    let agent = one::find(app, &visitor.actor, &visitor.context, id).await?;
    let tokens = if visitor.may(&tokens::READ) {
        let of_agent =
            tokens::list::Filter { agent_id: Some(id), limit: None, cursor: query.asked.cursor.clone() };
        Some(tokens::list::find(app, &visitor.actor, &visitor.context, &of_agent).await?)
    } else {
        None
    };
    let cursor = tokens.as_ref().and_then(|page| page.next_cursor.as_ref());
    let page = ShowPage {
        shell: Shell::new(visitor, Section::Agents).noting(query.notice),
        agent,
        form,
        now: app.clock.now(),
        may_write: visitor.may(&WRITE),
        may_mint: visitor.may(&tokens::WRITE),
        first: query::first(&query.uri),
        next: query::next(&query.uri, cursor),
        tokens,
    };
    show::page_with(status, &page)
}

/// `GET /agents/{id}/edit`
pub async fn edit(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let agent = one::find(&app, &visitor.actor, &visitor.context, id).await?;
    let form = Form::new(&app, &visitor)
        .with("name", &*agent.name)
        .with("description", &*agent.description)
        .with("version", agent.version.to_string());
    let shell = Shell::new(&visitor, Section::Agents);
    show::page(&EditPage { shell, agent: Some(&agent), form })
}

/// The fields of an agent that is changed.
#[derive(Debug, Deserialize)]
pub struct EditForm {
    name: Line<100>,
    #[serde(default)]
    description: Prose<10_000>,
    version: Version,
}

/// `POST /agents/{id}`
pub async fn update(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<EditForm>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, fields| {
            let condition = fields.version.condition();
            let change = AgentChange { name: Some(fields.name), description: Some(fields.description) };
            update::apply(unit, &visitor.actor, id, &condition, change).await?;
            Ok(done(&format!("/agents/{id}"), Notice::Saved))
        })
        .await?
        .or_again(async |refused| {
            let agent = one::find(&app, &visitor.actor, &visitor.context, id).await?;
            let (status, is_conflict) = (refused.refusal.status(), refused.refusal.is_conflict());
            let mut form = Form::again(&app, &visitor, refused);
            if is_conflict {
                let now = [("name", agent.name.clone()), ("description", agent.description.clone())];
                form = form.beside(agent.version, now);
            }
            let shell = Shell::new(&visitor, Section::Agents);
            show::page_with(status, &EditPage { shell, agent: Some(&agent), form })
        })
        .await
}

/// `POST /agents/{id}/delete`
pub async fn delete(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Versioned>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, fields| {
            delete::apply(&app, unit, &visitor.actor, id, &fields.version.condition()).await?;
            Ok(done("/agents", Notice::Deleted))
        })
        .await?
        .or_again(async |refused: Refused| {
            let status = refused.refusal.status();
            let form = Form::again(&app, &visitor, refused);
            shown(&app, &visitor, id, &PageQuery::plain("/agents"), form, status).await
        })
        .await
}
