//! Pages of projects.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use foundation::extract::Path;
use foundation::page::Page;
use foundation::problem::{Problem, codes};
use serde::Deserialize;
use uuid::Uuid;

use super::form::{Form, Refused, Submitted, Version, Versioned, done};
use super::notice::Notice;
use super::query::{self, Nothing, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::projects::create::{self, NewProject};
use crate::projects::list::{self, Filter};
use crate::projects::update::{self, ProjectChange};
use crate::projects::{Project, WRITE, delete, restore, show as one};
use crate::state::App;
use crate::tasks::{self, Task};
use foundation::text::{Line, Prose};

#[derive(Template)]
#[template(path = "projects/list.html")]
struct ListPage<'a> {
    shell: Shell<'a>,
    may_write: bool,
    deleted: bool,
    projects: Page<Project>,
    form: Form,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /projects`
pub async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<Filter>,
) -> Result<Response, Problem> {
    let projects = list::find(&app, &visitor.actor, &visitor.context, &query.asked).await?;
    show::page(&ListPage {
        shell: Shell::new(&visitor, Section::Projects).noting(query.notice),
        may_write: visitor.may(&WRITE),
        deleted: query.asked.deleted,
        form: Form::new(&app, &visitor),
        first: query::first(&query.uri),
        next: query::next(&query.uri, projects.next_cursor.as_ref()),
        projects,
    })
}

#[derive(Template)]
#[template(path = "projects/edit.html")]
struct EditPage<'a> {
    shell: Shell<'a>,
    /// None for a new one.
    project: Option<&'a Project>,
    form: Form,
}

/// `GET /projects/new`
pub async fn new(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let form = Form::new(&app, &visitor);
    show::page(&EditPage { shell: Shell::new(&visitor, Section::Projects), project: None, form })
}

/// `POST /projects`
pub async fn create(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    submitted: Submitted<NewProject>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, new| {
            let project = create::insert(unit, &visitor.actor, new).await?;
            Ok(done(&format!("/projects/{}", project.id), Notice::Made))
        })
        .await?
        .or_again(async |refused| {
            let status = refused.refusal.status();
            let form = Form::again(&app, &visitor, refused);
            let shell = Shell::new(&visitor, Section::Projects);
            show::page_with(status, &EditPage { shell, project: None, form })
        })
        .await
}

#[derive(Template)]
#[template(path = "projects/show.html")]
struct ShowPage<'a> {
    shell: Shell<'a>,
    project: Project,
    tasks: Page<Task>,
    form: Form,
    today: time::Date,
    may_write: bool,
    may_write_tasks: bool,
}

/// `GET /projects/{id}`
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
    let (actor, context) = (&visitor.actor, &visitor.context);
    let project = one::find(app, actor, context, id).await?;
    let of_project = tasks::list::Filter { project_id: Some(id), ..Default::default() };
    let tasks = tasks::list::find(app, actor, context, &of_project).await?;
    let page = ShowPage {
        shell: Shell::new(visitor, Section::Projects).noting(notice),
        project,
        tasks,
        form,
        today: app.clock.now().date(),
        may_write: visitor.may(&WRITE),
        may_write_tasks: visitor.may(&tasks::WRITE),
    };
    show::page_with(status, &page)
}

/// `GET /projects/{id}/edit`
pub async fn edit(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    visitor.actor.require(&WRITE)?;
    let project = one::find(&app, &visitor.actor, &visitor.context, id).await?;
    if project.deleted_at.is_some() {
        return Err(Problem::new(&codes::NOT_FOUND).detail("The project was deleted; restore it first."));
    }
    let form = Form::new(&app, &visitor)
        .with("name", &*project.name)
        .with("description", &*project.description)
        .with("version", project.version.to_string());
    let shell = Shell::new(&visitor, Section::Projects);
    show::page(&EditPage { shell, project: Some(&project), form })
}

/// The fields of a project that is changed.
#[derive(Debug, Deserialize)]
pub struct EditForm {
    name: Line<100>,
    #[serde(default)]
    description: Prose<10_000>,
    version: Version,
}

/// `POST /projects/{id}`
pub async fn update(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<EditForm>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, fields| {
            let condition = fields.version.condition();
            let change = ProjectChange { name: Some(fields.name), description: Some(fields.description) };
            update::apply(unit, &visitor.actor, id, &condition, change).await?;
            Ok(done(&format!("/projects/{id}"), Notice::Saved))
        })
        .await?
        .or_again(async |refused| {
            let project = one::find(&app, &visitor.actor, &visitor.context, id).await?;
            let (status, is_conflict) = (refused.refusal.status(), refused.refusal.is_conflict());
            let mut form = Form::again(&app, &visitor, refused);
            if is_conflict {
                let now = [("name", project.name.clone()), ("description", project.description.clone())];
                form = form.beside(project.version, now);
            }
            let shell = Shell::new(&visitor, Section::Projects);
            show::page_with(status, &EditPage { shell, project: Some(&project), form })
        })
        .await
}

/// `POST /projects/{id}/delete`
pub async fn delete(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Versioned>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, fields| {
            delete::apply(unit, &visitor.actor, id, &fields.version.condition()).await?;
            Ok(done("/projects", Notice::Deleted))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, id, refused).await)
        .await
}

/// `POST /projects/{id}/restore`
pub async fn restore(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    submitted: Submitted<Nothing>,
) -> Result<Response, Problem> {
    submitted
        .perform(&app, &visitor, &WRITE, async |unit, _| {
            restore::apply(unit, &visitor.actor, id).await?;
            Ok(done(&format!("/projects/{id}"), Notice::Restored))
        })
        .await?
        .or_again(async |refused| again(&app, &visitor, id, refused).await)
        .await
}

/// The project as it is now, and why nothing was done.
async fn again(app: &App, visitor: &Visitor, id: Uuid, refused: Refused) -> Result<Response, Problem> {
    let status = refused.refusal.status();
    shown(app, visitor, id, Form::again(app, visitor, refused), None, status).await
}
