//! Who looks at a page, and where: somebody who is signed in, with what the frame around every page shows of it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use foundation::auth::actor::{Actor, Person};
use foundation::auth::scope::Scope;
use foundation::clock::new_id;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use uuid::Uuid;

use crate::role::Role;
use crate::sessions::Workplace;
use crate::sessions::me::{self, Me};
use crate::state::App;

/// Somebody who is signed in. Programs have the API.
#[derive(Debug)]
pub struct Visitor {
    /// As the API knows the person.
    pub actor: Actor,
    /// The same, of whom is known that it is a person.
    pub person: Person,
    /// In which request.
    pub context: RequestContext,
    /// Who that is.
    pub me: Me,
    /// For the forms of the page.
    pub csrf_token: String,
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let context = RequestContext::from_request_parts(parts, app).await?;
        let actor = Actor::from_request_parts(parts, app).await?;
        let person = actor.person_or_refuse()?.clone();
        let me = me::find(app, &actor, &context).await?;
        let csrf_token = app.authentication.csrf.token(&person.session);
        Ok(Self { actor, person, context, me, csrf_token })
    }
}

impl Visitor {
    /// Whether the person's role allows it: what it does not allow is not offered.
    pub fn may(&self, scope: &Scope) -> bool {
        self.actor.require(scope).is_ok()
    }

    /// What people call the person.
    pub fn name(&self) -> &str {
        let email = self.me.email.as_deref().unwrap_or("Somebody without a name");
        if self.me.name.is_empty() { email } else { &self.me.name }
    }

    /// The organization in which the person works now.
    ///
    /// # Errors
    /// A problem `not-found` where there is none.
    pub fn workplace(&self) -> Result<&Workplace, Problem> {
        self.actor.organization_or_refuse()?;
        self.me.organization.as_ref().ok_or_else(|| Problem::new(&foundation::problem::codes::NOT_FOUND))
    }

    /// What the person is there.
    pub fn role(&self) -> Option<Role> {
        self.me.organization.as_ref().and_then(|workplace| workplace.role)
    }

    /// Whether it is this person.
    pub fn is(&self, person: &Uuid) -> bool {
        self.person.id == *person
    }

    /// A new key for a form, so that sending it twice does what it says once.
    pub fn key(app: &App) -> String {
        new_id(&*app.clock, &*app.randomness).to_string()
    }
}
