//! The page on which an account is deleted, by whoever has signed in recently and says so in words.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use serde::Deserialize;

use super::show;
use super::signed_out::deleted;
use super::texts::{self, Texts};
use super::visitor::{Away, Sent, Visitor};
use crate::accounts::delete as account;
use crate::session;
use crate::state::Broker;

#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage<'a> {
    texts: &'static Texts,
    csrf_token: &'a str,
    is_wrong: bool,
}

/// What the form says.
#[derive(Debug, Deserialize)]
pub struct Confirmation {
    #[serde(default)]
    confirmation: String,
}

/// `GET /account/delete`
pub async fn show(State(broker): State<Arc<Broker>>, visitor: Visitor) -> Result<Response, Away> {
    match visitor.ask_again(&broker) {
        Some(again) => Ok(again),
        None => Ok(page(&visitor, StatusCode::OK)?),
    }
}

fn page(visitor: &Visitor, status: StatusCode) -> Result<Response, Problem> {
    let is_wrong = status != StatusCode::OK;
    show::page_with(
        status,
        &DeletePage { texts: texts::current(), csrf_token: &visitor.csrf_token, is_wrong },
    )
}

/// `POST /account/delete`
pub async fn delete(
    State(broker): State<Arc<Broker>>,
    Sent { visitor, fields }: Sent<Confirmation>,
) -> Result<Response, Problem> {
    if let Some(again) = visitor.ask_again(&broker) {
        return Ok(again);
    }
    let wanted = texts::current().delete.phrase.to_string().to_lowercase();
    if fields.confirmation.trim().to_lowercase() != wanted {
        return page(&visitor, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let mut unit = visitor.begin(&broker).await?;
    let outcome = account::delete(&broker, &mut unit, visitor.session.account).await;
    unit.end(outcome.map(|()| Answer::empty(StatusCode::NO_CONTENT))).await?;
    let mut page = deleted()?;
    page.headers_mut().append(SET_COOKIE, session::clear_cookie());
    Ok(page)
}
