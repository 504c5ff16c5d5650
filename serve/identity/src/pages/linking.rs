//! The question whether somebody new has an account already. It is the same for everybody whom the rules ask: it does not tell
//! whether there is an account with the address.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use foundation::extract::Path;
use foundation::problem::Problem;
use foundation::request::RequestContext;

use super::buttons::{self, Button};
use super::failed::{Failure, failed};
use super::sign_in::redirect_uri;
use super::texts::{self, Phrase, Texts};
use super::{cancel, show};
use crate::accounts;
use crate::accounts::pending::Pending;
use crate::attempt::Attempt;
use crate::state::Broker;

#[derive(Template)]
#[template(path = "linking.html")]
struct QuestionPage<'a> {
    texts: &'static Texts,
    came: Phrase,
    label: &'a str,
    buttons: Vec<Button>,
    state: &'a str,
    client: Option<&'a str>,
    unknown: bool,
    failure: Option<&'static texts::Failure>,
    request: Option<String>,
}

/// `GET /linking/{state}`
pub async fn show(
    State(broker): State<Arc<Broker>>,
    Path(state): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some((attempt, pending)) = waiting(&broker, &headers, &state) else {
        return failed(&broker, None, Failure::Expired);
    };
    question(&broker, &attempt, &pending, None)
}

/// The question, again where something has failed on the way to its answer.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn question(
    broker: &Broker,
    attempt: &Attempt,
    pending: &Pending,
    failure: Option<Failure>,
) -> Result<Response, Problem> {
    let texts = texts::current();
    let label = broker.label(&pending.verified.provider);
    let came = match &pending.verified.email {
        Some(email) => texts.linking.came_with_address.with("address", &email.text),
        None => texts.linking.came_with.clone(),
    };
    let page = QuestionPage {
        texts,
        came: came.with("provider", label),
        label,
        buttons: buttons::all(broker, &texts.linking.with),
        state: &attempt.state,
        client: cancel::client(broker, attempt),
        unknown: pending.tried_another,
        failure: failure.map(|failure| failure.words(texts)),
        request: failure.and_then(|_| super::failed::request()),
    };
    Ok(show::leading_away(show::page(&page)?, redirect_uri(attempt)))
}

/// `POST /linking/{state}/new`: there is none, the person says.
pub async fn go_on_as_new(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    Path(state): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    broker.csrf.check_origin(&headers)?;
    match waiting(&broker, &headers, &state) {
        Some((attempt, pending)) => {
            accounts::arrive_as_new(&broker, &context, &headers, &attempt, &pending).await
        }
        None => failed(&broker, None, Failure::Expired),
    }
}

fn waiting(broker: &Broker, headers: &HeaderMap, state: &str) -> Option<(Attempt, Pending)> {
    let attempt = Attempt::of(headers, state, &broker.sealing, broker.clock.now())?;
    let pending = Pending::of(headers, &attempt, &broker.sealing)?;
    Some((attempt, pending))
}
