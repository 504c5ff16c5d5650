//! `GET /api/v1/projects`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::extract::Query;
use foundation::openapi::Rules;
use foundation::page::list::List;
use foundation::page::{Page, PageRequest};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Project, READ, columns};
use crate::state::App;

const SELECT: &str = concat!("SELECT ", columns!(), " FROM projects");

/// Which projects.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those that were deleted and can be restored, instead of those that were not.
    #[serde(default)]
    pub deleted: bool,
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// Lists projects
///
/// The oldest come first.
#[utoipa::path(
    get, path = "/api/v1/projects", tag = "projects", operation_id = "listProjects", params(Filter),
    responses((status = OK, description = "A page of projects.", body = Page<Project>)),
    extensions(("x-rules" = json!(Rules::scope(&READ).paged())))
)]
pub async fn list(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    uri: Uri,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    Ok(find(&app, &actor, &context, &filter).await?.answer(&uri))
}

/// The page of projects.
///
/// # Errors
/// A problem `insufficient-scope`, `bad-limit` or `bad-cursor`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    filter: &Filter,
) -> Result<Page<Project>, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let list = format!("projects {organization} {}", filter.deleted);
    let page = PageRequest::read(filter.limit.as_deref(), filter.cursor.as_deref(), &app.cursors, &list)?;
    let rows = List::of(SELECT, organization)
        .only(if filter.deleted { "deleted_at IS NOT NULL" } else { "deleted_at IS NULL" })
        .with_some("id = ANY ($)", actor.restriction())
        .read(&app.stores.database, &context.request_id, &page)
        .await?;
    let projects = rows.iter().map(Project::read).collect();
    Ok(Page::new(projects, &page, Project::position, &app.cursors, &list))
}
