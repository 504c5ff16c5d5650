//! `GET /sign-in`

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use foundation::extract::Query;
use foundation::problem::Problem;
use serde::Deserialize;

use super::attempt::Browser;
use super::issuer::Question;
use super::{of, redirect, return_to};
use crate::state::App;

/// What a page asks for.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    /// A path of this site, to which the person comes afterwards.
    return_to: Option<String>,
}

/// Sends the browser to the issuer.
pub async fn start(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let sign_in = of(&app)?;
    // Before anything is kept: nothing can come of it while the issuer is away.
    sign_in.issuer.description().await?;
    let browser = Browser::of(&headers).unwrap_or_else(|| Browser::new(&*app.randomness));
    let back_to = return_to::local(&app.public_url, wanted.return_to.as_deref());
    let (state, attempt) = sign_in.attempts.begin(&browser, back_to).await?;
    let challenge = attempt.challenge();
    let question = Question { state: &state, nonce: &attempt.nonce, challenge: &challenge };
    let url = sign_in.issuer.authorization(question).await?;
    Ok(redirect(url.as_str(), [browser.set_cookie()]))
}
