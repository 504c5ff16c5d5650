//! The page of a link that an operator has made. Opening it does nothing, so that programs which look at links in advance do
//! not use it up; and it looks the same whether the link is good or not.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header::{REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use foundation::audit::{Event, Origin, Outcome};
use foundation::extract::Path;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::idempotency::Answer;

use super::failed::too_many;
use super::show;
use super::texts::{self, Texts};
use crate::accounts::recovery;
use crate::state::Broker;
use crate::throttle::Tried;
use crate::{secret, session};

#[derive(Template)]
#[template(path = "recover.html")]
struct RecoverPage<'a> {
    texts: &'static Texts,
    secret: &'a str,
}

/// `GET /recover/{secret}`
pub async fn show(Path(secret): Path<String>) -> Result<Response, Problem> {
    if !secret::is_one(&secret) {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let mut page = show::page(&RecoverPage { texts: texts::current(), secret: &secret })?;
    // The address is the secret.
    page.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    Ok(page)
}

/// `POST /recover/{secret}`
pub async fn enter(
    State(broker): State<Arc<Broker>>,
    context: RequestContext,
    Path(secret): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    broker.csrf.check_origin(&headers)?;
    if let Err(wait) = broker.throttle.check(Tried::Link, context.address, broker.clock.now()) {
        return too_many(&broker, wait);
    }
    let mut unit = broker.writes.begin_without_key(&Origin::of(None, &context)).await?;
    let account = match recovery::redeem(&mut unit, &secret).await {
        Ok(account) => account,
        Err(problem) if problem.code() == &codes::NOT_FOUND => {
            drop(unit);
            broker.throttle.failed(Tried::Link, context.address, broker.clock.now());
            let event = Event::new("account.recovery_used", "account").outcome(Outcome::Denied);
            broker.writes.record(&Origin::of(None, &context), event).await?;
            let texts = texts::current();
            let page = EndedPage { texts };
            return show::page_with(StatusCode::NOT_FOUND, &page);
        }
        Err(problem) => return Err(problem),
    };
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await?;
    let previous = session::current(&broker, &headers).await?;
    let (_, cookie) =
        session::begin(&broker, &context, account, recovery::PROVIDER, previous.as_ref()).await?;
    let mut response = Redirect::to("/account").into_response();
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

#[derive(Template)]
#[template(path = "recovery_ended.html")]
struct EndedPage {
    texts: &'static Texts,
}
