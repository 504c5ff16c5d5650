//! Signing in by OpenID Connect at the one issuer that the application knows (authorization code, PKCE, state, nonce), and
//! signing out, also when the issuer says so.

mod attempt;
mod back_channel;
mod callback;
mod issuer;
mod return_to;
mod sign_out;
mod start;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, SET_COOKIE};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use foundation::audit::{Event, Origin, Outcome};
use foundation::clock::{Clock, Randomness};
use foundation::http_client::HttpClient;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::valkey::Valkey;
use url::Url;

use crate::codes;
use crate::config::IssuerConfig;
use crate::state::App;
use attempt::Attempts;
use issuer::{Issuer, IssuerError};

/// Where the issuer sends people back to.
const CALLBACK: &str = "/sign-in/callback";
/// Where the issuer says whose sessions have ended.
pub const BACK_CHANNEL: &str = "/sign-in/back-channel-logout";

/// What signing in needs.
#[derive(Debug)]
pub struct SignIn {
    issuer: Issuer,
    attempts: Attempts,
}

impl SignIn {
    /// At this issuer, back to the site at `public_url`.
    ///
    /// # Errors
    /// A URL that has no paths, which the configuration has refused before.
    pub fn new(
        config: IssuerConfig,
        public_url: &Url,
        http: HttpClient,
        valkey: Arc<Valkey>,
        (clock, randomness): (Arc<dyn Clock>, Arc<dyn Randomness>),
    ) -> Result<Self, url::ParseError> {
        let issuer = Issuer::new(config, public_url.join(CALLBACK)?, http, clock);
        Ok(Self { issuer, attempts: Attempts::new(valkey, randomness) })
    }

    /// Where people are sent to sign in and out: what pages may lead to.
    pub fn origin(&self) -> String {
        self.issuer.origin()
    }
}

/// The paths of signing in and out.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/sign-in", get(start::start))
        .route(CALLBACK, get(callback::callback))
        .route("/sign-out", post(sign_out::sign_out))
        .route(BACK_CHANNEL, post(back_channel::logout))
}

/// What signing in needs, where an issuer is configured.
fn of(app: &App) -> Result<&SignIn, Problem> {
    app.sign_in.as_ref().ok_or_else(|| Problem::new(&codes::SIGN_IN_NOT_CONFIGURED))
}

impl From<IssuerError> for Problem {
    fn from(error: IssuerError) -> Self {
        match &error {
            IssuerError::Code | IssuerError::Token(_) => {
                tracing::warn!(%error, "a sign-in failed");
                Problem::new(&codes::SIGN_IN_FAILED)
            }
            _ => {
                tracing::error!(%error, "nobody can sign in");
                Problem::new(&codes::SIGN_IN_UNAVAILABLE)
                    .detail("The issuer does not answer as it should.")
                    .header(RETRY_AFTER, HeaderValue::from_static("5"))
            }
        }
    }
}

/// Sends a browser on, with cookies; nothing on the way keeps this answer.
fn redirect(to: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let mut response = Redirect::to(to).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
    response
}

/// Writes down that a stranger was refused, and why: `reason` is a stable name, nothing that the stranger has sent.
async fn note_denied(
    app: &App,
    context: &RequestContext,
    action: &'static str,
    reason: &'static str,
) -> Result<(), Problem> {
    let event = Event::new(action, "session").outcome(Outcome::Denied).changed("reason", (), reason);
    app.writes.record(&Origin::of(None, context), event).await.map(drop)
}
