//! What people see: plain HTML forms with stable ids, without JavaScript and without any outside host.

mod account;
pub mod assets;
mod buttons;
mod changes;
mod delete;
mod failed;
pub mod finish;
pub mod language;
mod linking;
mod notice;
mod recover;
pub mod show;
mod sign_in;
mod signed_out;
pub mod texts;
mod visitor;
pub mod words;

use std::sync::Arc;

use axum::Router;
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use foundation::problem::Problem;

use crate::attempt::Attempt;
use crate::state::Broker;

pub use failed::{Failure, failed, too_many};
pub use notice::Notice;

/// The pages, and what their forms do.
pub fn routes() -> Router<Arc<Broker>> {
    Router::new()
        .route("/", get(async || Redirect::to("/account")))
        .route("/sign-in", get(sign_in::show))
        .route("/linking/{state}", get(linking::show))
        .route("/linking/{state}/new", post(linking::go_on_as_new))
        .route("/account", get(account::show))
        .route("/account/link", get(sign_in::add))
        .route("/account/identities/{id}/unlink", post(changes::unlink))
        .route("/account/sessions/{id}/end", post(changes::end_session))
        .route("/account/sessions/end", post(changes::end_others))
        .route("/account/sign-out", post(changes::sign_out))
        .route("/account/grants/revoke", post(changes::revoke))
        .route("/account/delete", get(delete::show).post(delete::delete))
        .route("/recover/{secret}", get(recover::show).post(recover::enter))
        .merge(assets::routes())
}

/// The page with the login providers' buttons, each of which posts to `/attempts/{state}/{provider}`; with the cookie that
/// keeps the attempt.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn sign_in(broker: &Broker, attempt: &Attempt, failure: Option<Failure>) -> Result<Response, Problem> {
    sign_in::of_attempt(broker, attempt, failure)
}

/// The page that says that somebody is signed out.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn signed_out(_: &Broker) -> Result<Response, Problem> {
    signed_out::signed_out()
}
