//! `GET /api/v1/organizations`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::extract::Query;
use foundation::openapi::Rules;
use foundation::page::cursor::Position;
use foundation::page::{Page, PageRequest};
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Organization, READ, columns};
use crate::role::Role;
use crate::state::App;

/// Those that a person belongs to, whichever the person works in now.
const OF_PERSON: &str = concat!(
    "SELECT ",
    columns!(),
    ", role FROM organizations_of($1) \
     WHERE (deleted_at IS NOT NULL) = $2 AND (deleted_at IS NULL OR deleted_at > now() - restore_window()) \
     AND ($3::timestamptz IS NULL OR (created_at, id) > ($3, $4)) ORDER BY created_at, id LIMIT $5"
);
/// The one that an agent belongs to.
const OF_AGENT: &str = concat!(
    "SELECT ",
    columns!(),
    ", NULL::text AS role FROM organizations WHERE id = $1 AND (deleted_at IS NOT NULL) = $2 \
     AND ($3::timestamptz IS NULL OR (created_at, id) > ($3, $4)) ORDER BY created_at, id LIMIT $5"
);

/// Which organizations.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those that you own, that were deleted and can be restored, instead of those that were not.
    #[serde(default)]
    pub deleted: bool,
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// An organization, and what the one who asks is in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Belonging {
    /// The organization.
    pub organization: Organization,
    /// The person's role in it; an agent has none.
    #[schema(required = true)]
    pub role: Option<Role>,
}

impl Belonging {
    fn read(row: &Row) -> Self {
        let role: Option<&str> = row.get("role");
        Self { organization: Organization::read(row), role: role.map(Role::stored) }
    }

    fn position(&self) -> Position {
        Position { at: self.organization.created_at, id: self.organization.id }
    }
}

/// Lists your organizations
///
/// A person sees all that they belong to, the oldest first, whatever their roles there; an agent, with the scope
/// `organizations:read`, sees its own.
#[utoipa::path(
    get, path = "/api/v1/organizations", tag = "organizations", operation_id = "listOrganizations", params(Filter),
    responses((status = OK, description = "A page of organizations.", body = Page<Belonging>)),
    extensions(("x-rules" = json!(Rules::actor().problem(&codes::INSUFFICIENT_SCOPE).paged())))
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

/// The page of organizations.
///
/// # Errors
/// A problem `insufficient-scope`, `bad-limit` or `bad-cursor`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    filter: &Filter,
) -> Result<Page<Belonging>, Problem> {
    let (sql, whose): (_, Uuid) = match actor {
        Actor::Person(person) => (OF_PERSON, person.id),
        Actor::Agent(agent) => {
            actor.require(&READ)?;
            (OF_AGENT, agent.organization)
        }
    };
    let list = format!("organizations {whose} {}", filter.deleted);
    let page = PageRequest::read(filter.limit.as_deref(), filter.cursor.as_deref(), &app.cursors, &list)?;
    let (at, id) = page.after().map(|after| (after.at, after.id)).unzip();
    let rows = Transaction::read(
        &app.stores.database,
        actor.organization(),
        &context.request_id,
        sql,
        &[&whose, &filter.deleted, &at, &id, &page.rows_to_fetch()],
    )
    .await?;
    let mut found: Vec<Belonging> = rows.iter().map(Belonging::read).collect();
    // A token that is restricted to certain resources sees it if it is one of them.
    found.retain(|belonging| actor.may_touch(&[belonging.organization.id]));
    Ok(Page::new(found, &page, Belonging::position, &app.cursors, &list))
}
