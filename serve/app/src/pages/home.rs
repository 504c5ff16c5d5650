//! The first page: the organization's home for somebody who is signed in, and a front page for everybody else.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, State as Shared};
use axum::http::Request;
use axum::response::Response;
use foundation::audit::record::Record;
use foundation::audit::search::Filter;
use foundation::auth::actor::Actor;
use foundation::page::{MAX_LIMIT, Paging};
use foundation::problem::Problem;
use time::Date;
use uuid::Uuid;

use super::names::Names;
use super::query::{Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::audit_events;
use crate::projects::{self, Project};
use crate::state::App;
use crate::tasks::{self, State, Task};

/// Tasks of a kind that are shown.
const SHOWN: u16 = 8;

#[derive(Template)]
#[template(path = "front.html")]
struct FrontPage {
    /// Whether anybody can sign in here.
    knows_people: bool,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    shell: Shell<'a>,
    projects: Vec<Project>,
    started: Vec<Task>,
    open: Vec<Task>,
    today: Date,
    may_write: bool,
    /// What happened lately, where the person may see it.
    activity: Option<Activity>,
}

/// What happened lately, and who those are who did it.
struct Activity {
    events: Vec<Record>,
    names: Names,
}

impl HomePage<'_> {
    fn project(&self, id: &Uuid) -> &str {
        self.projects.iter().find(|project| project.id == *id).map_or("", |project| &project.name)
    }
}

/// `GET /`
pub async fn show(Shared(app): Shared<Arc<App>>, request: Request<Body>) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    if parts.extensions.get::<Actor>().is_none() {
        return show::page(&FrontPage { knows_people: app.sign_in.is_some() });
    }
    let visitor = Visitor::from_request_parts(&mut parts, &app).await?;
    let query = PageQuery::<Nothing>::from_request_parts(&mut parts, &app).await?;
    let shell = Shell::new(&visitor, Section::Home).noting(query.notice);
    let today = app.clock.now().date();
    let may_write = visitor.may(&projects::WRITE);
    if visitor.me.organization.is_none() {
        let (projects, started, open, activity) = Default::default();
        return show::page(&HomePage { shell, projects, started, open, today, may_write, activity });
    }
    let most = projects::list::Filter { limit: Some(MAX_LIMIT.to_string()), ..Default::default() };
    let projects = projects::list::find(&app, &visitor.actor, &visitor.context, &most);
    let (started, open) = (of_state(&app, &visitor, State::Started), of_state(&app, &visitor, State::Open));
    let activity = activity(&app, &visitor);
    let (projects, started, open, activity) = tokio::try_join!(projects, started, open, activity)?;
    show::page(&HomePage { shell, projects: projects.items, started, open, today, may_write, activity })
}

async fn activity(app: &App, visitor: &Visitor) -> Result<Option<Activity>, Problem> {
    if !visitor.may(&audit_events::READ) {
        return Ok(None);
    }
    let paging = Paging { limit: Some(SHOWN.to_string()), cursor: None };
    let (actor, context, all) = (&visitor.actor, &visitor.context, Filter::default());
    let events = audit_events::list::find(app, actor, context, &all, &paging).await?.items;
    Ok(Some(Activity { events, names: Names::of(app, visitor).await? }))
}

async fn of_state(app: &App, visitor: &Visitor, state: State) -> Result<Vec<Task>, Problem> {
    let filter =
        tasks::list::Filter { state: Some(state), limit: Some(SHOWN.to_string()), ..Default::default() };
    Ok(tasks::list::find(app, &visitor.actor, &visitor.context, &filter).await?.items)
}
