//! Pages of tasks.

use std::sync::Arc;

use askama::Template;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::extract::Path;
use foundation::page::{MAX_LIMIT, Page};
use foundation::problem::{Problem, codes};
use serde::Deserialize;
use time::Date;
use uuid::Uuid;

use super::form::{Form, Refused, Submitted, Version, Versioned, done};
use super::notice::Notice;
use super::query::{self, Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::projects::{self, Project};
use crate::state::App;
use crate::tasks::create::{self, NewTask};
use crate::tasks::list::{self, Filter};
use crate::tasks::update::{self, TaskChange};
use crate::tasks::{State, Task, WRITE, delete, restore, show as one};
use foundation::text::{Day, Line, Prose};

/// Every state, with what people read.
pub const STATES: [(&str, &str); 3] = [("open", "Open"), ("started", "Started"), ("done", "Done")];

#[derive(Template)]
#[template(path = "tasks/list.html")]
struct ListPage<'a> {
    shell: Shell<'a>,
    may_write: bool,
    filter: &'a Filter,
    tasks: Page<Task>,
    projects: Vec<Project>,
    form: Form,
    today: Date,
    first: Option<String>,
    next: Option<String>,
}

impl ListPage<'_> {
    fn project(&self, id: &Uuid) -> &str {
        self.projects.iter().find(|project| project.id == *id).map_or("", |project| &project.name)
    }

    fn is_in(&self, project: &Uuid) -> bool {
        self.filter.project_id.as_ref() == Some(project)
    }

    fn is_of(&self, state: &str) -> bool {
        self.filter.state.is_some_and(|wanted| wanted.as_str() == state)
    }

    fn is_filtered(&self) -> bool {
        self.filter.project_id.is_some() || self.filter.state.is_some()
    }
}

/// `GET /tasks`
pub async fn list(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<Filter>,
) -> Result<Response, Problem> {
    let tasks = list::find(&app, &visitor.actor, &visitor.context, &query.asked);
    let (tasks, projects) = tokio::try_join!(tasks, projects_to_choose(&app, &visitor))?;
    show::page(&ListPage {
        shell: Shell::new(&visitor, Section::Tasks).noting(query.notice),
        may_write: visitor.may(&WRITE),
        filter: &query.asked,
        projects,
        form: Form::new(&app, &visitor),
        today: app.clock.now().date(),
        first: query::first(&query.uri),
        next: query::next(&query.uri, tasks.next_cursor.as_ref()),
        tasks,
    })
}

/// As many projects as a page of them has, to choose from and to name.
async fn projects_to_choose(app: &App, visitor: &Visitor) -> Result<Vec<Project>, Problem> {
    let most = projects::list::Filter { limit: Some(MAX_LIMIT.to_string()), ..Default::default() };
    Ok(projects::list::find(app, &visitor.actor, &visitor.context, &most).await?.items)
}

#[derive(Template)]
#[template(path = "tasks/new.html")]
struct NewPage<'a> {
    shell: Shell<'a>,
    projects: Vec<Project>,
    form: Form,
}

impl NewPage<'_> {
    fn choices(&self) -> Vec<(String, &str)> {
        self.projects.iter().map(|project| (project.id.to_string(), project.name.as_str())).collect()
    }
}

/// For which project a task is to be made.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NewTaskOf {
    project_id: Option<Uuid>,
}

/// `GET /tasks/new`
pub async fn new(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<NewTaskOf>,
) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let project = query.asked.project_id.map(|id| id.to_string()).unwrap_or_default();
    let form = Form::new(&app, &visitor).with("project_id", project).with("state", State::Open.as_str());
    let projects = projects_to_choose(&app, &visitor).await?;
    show::page(&NewPage { shell: Shell::new(&visitor, Section::Tasks), projects, form })
}

/// `POST /tasks`
pub async fn create(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<NewTask>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, new| {
            let task = create::insert(unit, &visitor.actor, new).await?;
            Ok(done(&format!("/tasks/{}", task.id), Notice::Made))
        })
        .await?
        .or_again(async |refused| {
            let status = refused.refusal.status();
            let form = Form::again(&app, &visitor, refused);
            let projects = projects_to_choose(&app, &visitor).await?;
            show::page_with(status, &NewPage { shell: Shell::new(&visitor, Section::Tasks), projects, form })
        })
        .await
}

#[derive(Template)]
#[template(path = "tasks/show.html")]
struct ShowPage<'a> {
    shell: Shell<'a>,
    task: Task,
    project: Option<Project>,
    form: Form,
    today: Date,
    may_write: bool,
}

/// `GET /tasks/{id}`
pub async fn show(
    Shared(app): Shared<Arc<App>>,
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
    let task = one::find(app, &visitor.actor, &visitor.context, id).await?;
    let project = projects::show::find(app, &visitor.actor, &visitor.context, task.project_id).await.ok();
    let page = ShowPage {
        shell: Shell::new(visitor, Section::Tasks).noting(notice),
        task,
        project,
        form,
        today: app.clock.now().date(),
        may_write: visitor.may(&WRITE),
    };
    show::page_with(status, &page)
}

#[derive(Template)]
#[template(path = "tasks/edit.html")]
struct EditPage<'a> {
    shell: Shell<'a>,
    task: Task,
    form: Form,
}

/// `GET /tasks/{id}/edit`
pub async fn edit(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let task = one::find(&app, &visitor.actor, &visitor.context, id).await?;
    if task.deleted_at.is_some() {
        return Err(Problem::new(&codes::NOT_FOUND).detail("The task was deleted; restore it first."));
    }
    let form = fields(&task)
        .into_iter()
        .fold(Form::new(&app, &visitor), |form, (field, value)| form.with(field, value))
        .with("version", task.version.to_string());
    show::page(&EditPage { shell: Shell::new(&visitor, Section::Tasks), task, form })
}

/// What the fields of a task's form hold.
fn fields(task: &Task) -> [(&'static str, String); 4] {
    [
        ("title", task.title.clone()),
        ("description", task.description.clone()),
        ("state", task.state.as_str().to_owned()),
        ("due_on", task.due_on.map(filters::iso).unwrap_or_default()),
    ]
}

/// The fields of a task that is changed.
#[derive(Debug, Deserialize)]
pub struct EditForm {
    title: Line<200>,
    #[serde(default)]
    description: Prose<10_000>,
    state: State,
    due_on: Option<Day>,
    version: Version,
}

/// `POST /tasks/{id}`
pub async fn update(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<EditForm>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, form| {
            let condition = form.version.condition();
            let change = TaskChange {
                title: Some(form.title),
                description: Some(form.description),
                state: Some(form.state),
                due_on: Some(form.due_on),
            };
            update::apply(unit, &visitor.actor, id, &condition, change).await?;
            Ok(done(&format!("/tasks/{id}"), Notice::Saved))
        })
        .await?
        .or_again(async |refused| {
            let task = one::find(&app, &visitor.actor, &visitor.context, id).await?;
            let (status, is_conflict) = (refused.refusal.status(), refused.refusal.is_conflict());
            let mut form = Form::again(&app, &visitor, refused);
            if is_conflict {
                form = form.beside(task.version, fields(&task));
            }
            show::page_with(status, &EditPage { shell: Shell::new(&visitor, Section::Tasks), task, form })
        })
        .await
}

/// The form of the buttons that say where a task stands.
#[derive(Debug, Deserialize)]
pub struct StateForm {
    state: State,
    version: Version,
}

/// `POST /tasks/{id}/state`
pub async fn change_state(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<StateForm>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, form| {
            let change = TaskChange { title: None, description: None, state: Some(form.state), due_on: None };
            update::apply(unit, &visitor.actor, id, &form.version.condition(), change).await?;
            Ok(done(&format!("/tasks/{id}"), Notice::Saved))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, id, refused).await)
        .await
}

/// `POST /tasks/{id}/delete`
pub async fn delete(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Versioned>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, form| {
            delete::apply(unit, &visitor.actor, id, &form.version.condition()).await?;
            Ok(done("/tasks", Notice::Deleted))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, id, refused).await)
        .await
}

/// `POST /tasks/{id}/restore`
pub async fn restore(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, _| {
            restore::apply(unit, &visitor.actor, id).await?;
            Ok(done(&format!("/tasks/{id}"), Notice::Restored))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, id, refused).await)
        .await
}

/// The task as it is now, and why nothing was done.
async fn again(app: &App, visitor: &Visitor, id: Uuid, refused: Refused) -> Result<Response, Problem> {
    let status = refused.refusal.status();
    shown(app, visitor, id, Form::again(app, visitor, refused), None, status).await
}
