//! Who looks at a page, and where: somebody who is signed in, with what the frame around every page shows of it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use foundation::auth::actor::{Actor, Person};
use foundation::auth::scope::Scope;
use foundation::clock::new_id;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use uuid::Uuid;

use crate::role::Role;
use crate::state::App;

/// Somebody who is signed in. Programs have the API.
#[derive(Debug)]
pub struct Visitor {
    /// As the API knows the person.
    pub actor: Actor,
    /// In which request.
    pub context: RequestContext,
    /// What people call the person.
    pub name: String,
    /// The organization in which the person works now.
    pub organization: Option<Workplace>,
    /// For the forms of the page.
    pub csrf_token: String,
}

/// An organization in which somebody works.
#[derive(Debug)]
pub struct Workplace {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let context = RequestContext::from_request_parts(parts, app).await?;
        let actor = Actor::from_request_parts(parts, app).await?;
        let Actor::Person(person) = &actor else {
            return Err(
                Problem::new(&codes::UNAUTHENTICATED).detail("Pages are for people; programs use /api/v1/.")
            );
        };
        let (name, organization) = known(app, person, &context).await?;
        let csrf_token = app.authentication.csrf.token(&person.session);
        Ok(Self { context, name, organization, csrf_token, actor })
    }
}

impl Visitor {
    /// Whether the person's role allows it: what it does not allow is not offered.
    pub fn may(&self, scope: &Scope) -> bool {
        self.actor.require(scope).is_ok()
    }

    /// A new key for a form, so that sending it twice does what it says once.
    pub fn key(app: &App) -> String {
        new_id(&*app.clock, &*app.randomness).to_string()
    }
}

async fn known(
    app: &App,
    person: &Person,
    context: &RequestContext,
) -> Result<(String, Option<Workplace>), Problem> {
    const FIND: &str = "SELECT p.name, p.email, o.id, o.name AS organization, o.role FROM person_by_id($1) p \
                        LEFT JOIN organizations_of($1) o ON o.id = $2";
    let rows = Transaction::read(
        &app.stores.database,
        person.organization,
        &context.request_id,
        FIND,
        &[&person.id, &person.organization],
    )
    .await?;
    let row = rows.first().ok_or_else(|| Problem::new(&codes::UNAUTHENTICATED))?;
    let name: String = row.get("name");
    let email: Option<String> = row.get("email");
    let workplace = row.get::<_, Option<Uuid>>("id").map(|id| Workplace {
        id,
        name: row.get("organization"),
        role: Role::stored(row.get("role")),
    });
    Ok((if name.is_empty() { email.unwrap_or_default() } else { name }, workplace))
}
