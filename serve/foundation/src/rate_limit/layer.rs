//! The limits of a request: by its address and credential before it is known whose they are, by the person afterwards.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::gcra::Quota;
use super::{Decision, Limit, RateLimiter, Subject};
use crate::auth::actor::Actor;
use crate::auth::layer::{Credential, credential};
use crate::auth::token::{self, Prefix};
use crate::request::RequestContext;

/// A limit without its subject: `name` says it in the headers.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Letters, digits and hyphens.
    pub name: &'static str,
    /// How much.
    pub quota: Quota,
}

/// A class of routes, such as those that write.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// For everybody behind one address.
    pub address: Policy,
    /// For one token or session.
    pub credential: Policy,
    /// For one person, in all sessions.
    pub person: Policy,
}

/// What limiting needs.
#[derive(Debug)]
pub struct RateLimits {
    /// Decides.
    pub limiter: Arc<RateLimiter>,
    /// What tokens start with: what is none is limited by its address alone.
    pub prefix: Prefix,
    /// Which class a request is of; none for what is not limited.
    pub class: fn(&Request) -> Option<Class>,
}

/// The layer outside authentication: address and credential, in one exchange.
pub async fn limit_callers(State(limits): State<Arc<RateLimits>>, request: Request, next: Next) -> Response {
    let Some(class) = (limits.class)(&request) else { return next.run(request).await };
    let mut wanted = Vec::with_capacity(2);
    if let Some(context) = request.extensions().get::<RequestContext>() {
        wanted.push(class.address.of(Subject::address(context.address)));
    }
    let subject = match credential(request.headers()) {
        Ok(Credential::Bearer(text)) => token::parse(&limits.prefix, &text).ok().map(Subject::Token),
        Ok(Credential::Session(key)) => Some(Subject::Session(key)),
        Ok(Credential::None) | Err(_) => None,
    };
    wanted.extend(subject.map(|subject| class.credential.of(subject)));
    pass(&limits.limiter, wanted, request, next).await
}

/// The layer inside authentication: the person, whatever the session.
pub async fn limit_people(State(limits): State<Arc<RateLimits>>, request: Request, next: Next) -> Response {
    let person = match request.extensions().get::<Actor>() {
        Some(Actor::Person(person)) => Some(person.id),
        _ => None,
    };
    match (person, (limits.class)(&request)) {
        (Some(person), Some(class)) => {
            let wanted = vec![class.person.of(Subject::Person(person))];
            pass(&limits.limiter, wanted, request, next).await
        }
        _ => next.run(request).await,
    }
}

impl Policy {
    fn of(self, subject: Subject) -> Limit {
        Limit { name: self.name, quota: self.quota, subject }
    }
}

async fn pass(limiter: &RateLimiter, wanted: Vec<Limit>, request: Request, next: Next) -> Response {
    let decision: Decision = limiter.decide(wanted).await;
    let mut response = match decision.check() {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    decision.describe(response.headers_mut());
    response
}
