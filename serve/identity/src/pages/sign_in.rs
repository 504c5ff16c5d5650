//! The page with the login providers' buttons.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use foundation::extract::Query;
use foundation::problem::{Problem, codes};
use serde::Deserialize;

use super::buttons::{self, Button};
use super::failed::Failure;
use super::texts::{self, Phrase, Texts};
use super::visitor::{Away, Visitor};
use super::{cancel, failed, linking, show};
use crate::accounts::pending::Pending;
use crate::attempt::{Attempt, Purpose};
use crate::state::Broker;
use crate::{provider, session};

/// What somebody who comes to sign in says.
#[derive(Debug, Deserialize)]
pub struct Wish {
    /// Whether it is to be done once more, by somebody who is signed in.
    #[serde(default)]
    again: bool,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    texts: &'static Texts,
    title: Phrase,
    lead: Option<Phrase>,
    failure: Option<&'static texts::Failure>,
    buttons: Vec<Button>,
    state: &'a str,
    client: Option<&'a str>,
    request: Option<String>,
}

/// `GET /sign-in`: for people who come by themselves.
pub async fn show(
    State(broker): State<Arc<Broker>>,
    headers: HeaderMap,
    Query(wish): Query<Wish>,
) -> Result<Response, Problem> {
    let signed_in = session::current(&broker, &headers).await?.is_some();
    if signed_in && !wish.again {
        return Ok(Redirect::to("/account").into_response());
    }
    let purpose = if signed_in { Purpose::Again } else { Purpose::Account };
    of_attempt(&broker, &Attempt::begin(purpose, &*broker.clock, &*broker.randomness), None)
}

/// `GET /account/link`: to add another identity to the account, by somebody who has signed in recently.
pub async fn add(State(broker): State<Arc<Broker>>, visitor: Visitor) -> Result<Response, Away> {
    if let Some(again) = visitor.ask_again(&broker) {
        return Ok(again);
    }
    let purpose = Purpose::Link { account: visitor.session.account, session: visitor.session.id };
    let attempt = Attempt::begin(purpose, &*broker.clock, &*broker.randomness);
    Ok(of_attempt(&broker, &attempt, None)?)
}

/// The page with the login providers' buttons, each of which posts to `/attempts/{state}/{provider}`; with the cookie that
/// keeps the attempt.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn of_attempt(broker: &Broker, attempt: &Attempt, failure: Option<Failure>) -> Result<Response, Problem> {
    let texts = texts::current();
    let words = &texts.sign_in;
    let (title, lead, with) = match &attempt.purpose {
        Purpose::Authorize(request) => {
            let name = broker.client_name(&request.client_id);
            let lead = provider::consent::is_needed(request).then(|| words.acts_for.with("client", name));
            (words.to.with("client", name), lead, &words.with)
        }
        Purpose::Account => (words.to_account.clone(), None, &words.with),
        Purpose::Again => (words.again.clone(), Some(words.again_why.clone()), &words.with),
        Purpose::Link { .. } => (texts.add.title.clone(), Some(texts.add.text.clone()), &texts.add.with),
    };
    page(broker, attempt, Saying { title, lead, with, failure })
}

/// The page again, after something has failed, as an attempt of its own: the one that failed may have been used. Whoever
/// waited for an answer beside it waits on.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn again(
    broker: &Broker,
    headers: &HeaderMap,
    failed: &Attempt,
    failure: Failure,
) -> Result<Response, Problem> {
    let (keys, randomness) = (&broker.sealing, &*broker.randomness);
    let next = Attempt::begin(failed.purpose.clone(), &*broker.clock, randomness);
    let waiting = Pending::of(headers, failed, keys)
        .and_then(|pending| Some((pending.set_cookie(&next, keys, randomness)?, pending)));
    let mut page = match waiting {
        Some((cookie, pending)) => {
            let mut page = linking::question(broker, &next, &pending, Some(failure))?;
            let attempt = next.set_cookie(keys, randomness).ok_or_else(too_long)?;
            page.headers_mut().append(SET_COOKIE, attempt);
            page.headers_mut().append(SET_COOKIE, cookie);
            page
        }
        None => of_attempt(broker, &next, Some(failure))?,
    };
    *page.status_mut() = failure.status();
    page.headers_mut().append(SET_COOKIE, failed.clear_cookie());
    page.headers_mut().append(SET_COOKIE, Pending::clear_cookie(failed));
    Ok(page)
}

/// What the page says.
struct Saying {
    title: Phrase,
    lead: Option<Phrase>,
    with: &'static Phrase,
    failure: Option<Failure>,
}

fn page(broker: &Broker, attempt: &Attempt, saying: Saying) -> Result<Response, Problem> {
    let cookie = attempt.set_cookie(&broker.sealing, &*broker.randomness);
    let cookie = cookie.ok_or_else(too_long)?;
    let texts = texts::current();
    let page = SignInPage {
        texts,
        title: saying.title,
        lead: saying.lead,
        failure: saying.failure.map(|failure| failure.words(texts)),
        buttons: buttons::all(broker, saying.with),
        state: &attempt.state,
        client: cancel::client(broker, attempt),
        request: saying.failure.and_then(|_| failed::request()),
    };
    let page = show::page_with(StatusCode::OK, &page)?;
    let mut page = show::leading_away(page, redirect_uri(attempt));
    page.headers_mut().append(SET_COOKIE, cookie);
    Ok(page)
}

fn too_long() -> Problem {
    let detail = "The request is longer than a browser keeps; send shorter parameters.";
    Problem::new(&codes::REQUEST_REFUSED).detail(detail)
}

/// Where the answer to the attempt goes in the end.
pub(super) fn redirect_uri(attempt: &Attempt) -> Option<&str> {
    match &attempt.purpose {
        Purpose::Authorize(request) => Some(&request.redirect_uri),
        Purpose::Account | Purpose::Again | Purpose::Link { .. } => None,
    }
}
