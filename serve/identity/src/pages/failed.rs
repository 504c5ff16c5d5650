//! Why somebody is not signed in, as a person understands it, with a way to try again.

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use foundation::problem::Problem;
use foundation::request;

use super::texts::{self, Texts};
use super::{show, sign_in};
use crate::attempt::Attempt;
use crate::state::Broker;
use crate::throttle;

/// Why somebody who wanted to sign in is not, as far as it is for that person to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It took too long, or began in another browser: it begins anew.
    Expired,
    /// The person refused at the login provider.
    Refused,
    /// The login provider is down, slow, or answers nonsense.
    ProviderUnavailable,
    /// The login provider's answer is not to be believed.
    NotBelieved,
    /// The person's organization has to allow this site first (Microsoft).
    ConsentNeeded,
    /// The account is not of the organization whose people may sign in.
    OtherOrganization,
    /// Too many attempts.
    TooMany,
    /// The issuer itself cannot answer now.
    Unavailable,
}

impl Failure {
    /// The status of the page that says it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Expired | Self::NotBelieved => StatusCode::BAD_REQUEST,
            Self::Refused | Self::ConsentNeeded | Self::OtherOrganization => StatusCode::FORBIDDEN,
            Self::ProviderUnavailable | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// What happened, and what to do.
    #[must_use]
    pub fn words(self, texts: &'static Texts) -> &'static texts::Failure {
        let failures = &texts.failures;
        match self {
            Self::Expired => &failures.expired,
            Self::Refused => &failures.refused,
            Self::ProviderUnavailable => &failures.provider_unavailable,
            Self::NotBelieved => &failures.not_believed,
            Self::ConsentNeeded => &failures.consent_needed,
            Self::OtherOrganization => &failures.other_organization,
            Self::TooMany => &failures.too_many,
            Self::Unavailable => &failures.unavailable,
        }
    }
}

#[derive(Template)]
#[template(path = "failed.html")]
struct FailedPage {
    texts: &'static Texts,
    failure: &'static texts::Failure,
    request: Option<String>,
}

/// The page that says why somebody is not signed in, with a way to try again where there is one.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn failed(broker: &Broker, attempt: Option<&Attempt>, failure: Failure) -> Result<Response, Problem> {
    if let Some(attempt) = attempt {
        return sign_in::again(broker, attempt, failure);
    }
    let texts = texts::current();
    let request = request::current().map(|context| context.request_id.to_string());
    show::page_with(failure.status(), &FailedPage { texts, failure: failure.words(texts), request })
}

/// The page that says that too much has failed from here, and for how long to wait.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn too_many(broker: &Broker, wait: Duration) -> Result<Response, Problem> {
    let mut page = failed(broker, None, Failure::TooMany)?;
    page.headers_mut().insert(RETRY_AFTER, throttle::seconds(wait));
    Ok(page)
}
