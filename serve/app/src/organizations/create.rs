//! `POST /api/v1/organizations`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::Response;
use foundation::audit::Event;
use foundation::auth::actor::{Actor, Person};
use foundation::clock::new_id;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::write::{Place, Unit, WriteRequest};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Organization, columns, enter};
use crate::members;
use crate::role::Role;
use crate::state::App;
use foundation::text::Line;

/// A person who owns so many makes no more; those are included that can still be restored.
const MOST_OWNED: i64 = 20;

const OWNED: &str = "SELECT count(*) FROM organizations_of($1) WHERE role = 'owner'";
const INSERT: &str = concat!(
    "INSERT INTO organizations (id, name, created_at, updated_at) VALUES ($1, $2, $3, $3) RETURNING ",
    columns!()
);

/// An organization to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewOrganization {
    /// What people call it.
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "Gardeners")]
    pub name: Line<100>,
}

/// Makes an organization
///
/// Whoever makes it is its owner, and works in it from then on.
#[utoipa::path(
    post, path = "/api/v1/organizations", tag = "organizations", operation_id = "createOrganization",
    request_body = NewOrganization,
    responses((status = CREATED, body = Organization)),
    extensions(("x-rules" = json!(Rules::person().versioned().problem(&crate::codes::QUOTA_REACHED))))
)]
pub async fn create(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    request: WriteRequest,
) -> Result<Response, Problem> {
    let person = actor.person_or_refuse()?;
    let new: NewOrganization = request.json()?;
    let id = new_id(&*app.clock, &*app.randomness);
    let response = app
        .writes
        .perform_in(Place::Other(id), &actor, &request, async |unit| {
            let organization = insert(unit, person, new).await?;
            Ok(organization.answer(StatusCode::CREATED)?.located(&path(organization.id)))
        })
        .await?;
    if let Some(made) = made(&response) {
        enter(&app, person, made).await;
    }
    Ok(response)
}

fn path(id: Uuid) -> String {
    format!("/api/v1/organizations/{id}")
}

/// The organization that the answer is about: where it is given again, that of the first time.
fn made(response: &Response) -> Option<Uuid> {
    let path = response.headers().get(LOCATION)?.to_str().ok()?;
    path.strip_prefix("/api/v1/organizations/")?.parse().ok()
}

/// Makes the organization of a write within it, which begins with an identifier that no other has.
///
/// # Errors
/// A problem `quota-reached`, or one of the database.
pub async fn insert(unit: &mut Unit, person: &Person, new: NewOrganization) -> Result<Organization, Problem> {
    let id = unit.origin().organization.ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    // Two at once cannot both make the last one.
    unit.transaction.alone("owner", person.id).await?;
    let owned = unit.transaction.query(OWNED, &[&person.id]).await?;
    if owned.first().is_some_and(|row| row.get::<_, i64>(0) >= MOST_OWNED) {
        return Err(Problem::new(&crate::codes::QUOTA_REACHED)
            .detail(format!("A person owns at most {MOST_OWNED} organizations.")));
    }
    let (now, name) = (unit.now(), new.name.as_str());
    let rows = unit.transaction.query(INSERT, &[&id, &name, &now]).await?;
    let organization = rows.first().map(Organization::read).ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    unit.audit(Event::new("organization.create", "organization").of(id).changed("name", (), name));
    members::add(unit, person.id, Role::Owner).await?;
    Ok(organization)
}
