//! A problem as a person reads it: what happened, at which field, and what to do now.

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::Response;
use foundation::problem::{self, Problem};
use serde::Deserialize;

/// More than any problem document has.
const LONGEST: usize = 256 << 10;

/// A problem document, whether it was just made or is a stored answer that is given again.
#[derive(Debug, Clone, Deserialize)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub title: String,
    pub detail: Option<String>,
    #[serde(default)]
    pub errors: Vec<Fault>,
    pub request_id: Option<String>,
    #[serde(skip)]
    pub retry_after: Option<String>,
}

/// What is wrong with one value.
#[derive(Debug, Clone, Deserialize)]
pub struct Fault {
    pub pointer: String,
    pub code: String,
    pub detail: String,
}

/// Whether an answer is a problem document.
pub fn is_problem(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE) == Some(&problem::CONTENT)
}

impl From<&Problem> for Refusal {
    fn from(problem: &Problem) -> Self {
        serde_json::from_value(problem.document()).unwrap_or_else(|_| Self::unreadable(problem.status()))
    }
}

impl Refusal {
    /// Reads an answer that is a problem document, and gives it back as it came.
    pub async fn of(response: Response) -> (Self, Response) {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, LONGEST).await.unwrap_or_default();
        let mut refusal = serde_json::from_slice(&bytes).unwrap_or_else(|_| Self::unreadable(parts.status));
        let seconds = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        refusal.retry_after = seconds.map(str::to_owned);
        (refusal, Response::from_parts(parts, Body::from(bytes)))
    }

    /// What is still known where the document cannot be read.
    fn unreadable(status: StatusCode) -> Self {
        Self {
            status: status.as_u16(),
            code: String::new(),
            title: "Something went wrong".to_owned(),
            detail: None,
            errors: Vec::new(),
            request_id: None,
            retry_after: None,
        }
    }

    /// The status of the page that shows it.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whether the person can put it right in the form that was sent.
    pub fn is_about_the_form(&self) -> bool {
        let of_key = self.code.starts_with("idempotency-");
        !of_key && (matches!(self.status, 409 | 410 | 412 | 422) || !self.errors.is_empty())
            || self.code == "role-too-high"
    }

    /// Whether what was to be changed is another version by now.
    pub fn is_conflict(&self) -> bool {
        self.code == "precondition-failed"
    }

    /// Whether somebody wanted to sign in and is not.
    pub fn is_of_signing_in(&self) -> bool {
        self.code.starts_with("sign-in-")
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        match (self.code.as_str(), self.status) {
            ("cross-site", _) => {
                "Nothing was changed. The page was older than your session, or the request came from somewhere else. \
                 Open the page again and repeat what you did."
            }
            ("insufficient-scope", _) => {
                "Nothing was changed. Your role in this organization does not allow it: an owner or admin can give you \
                 another one."
            }
            ("sign-in-expired" | "sign-in-failed", _) => {
                "Nothing has happened. Sign in again; if that does not help, tell the operator the request's number."
            }
            ("idempotency-key-reused", _) => {
                "This form was sent before with other values. Open it again and send it once more."
            }
            ("last-owner", _) => "Make somebody else an owner first, or delete the organization.",
            ("quota-reached", _) => "Delete what is not needed any more, and try again.",
            ("role-too-high", _) => "Somebody with a higher role can do this.",
            ("invitation-expired" | "invitation-revoked" | "invitation-used", _) => {
                "Ask whoever invited you for another one."
            }
            ("token-ended", _) => "Mint another one instead.",
            ("webhook-disabled", _) => "Enable it first.",
            ("delivery-pending", _) => "Wait until it is delivered or given up.",
            ("sign-in-not-configured", _) => "Whoever runs this site has still to name who knows its people.",
            ("sign-in-unavailable", _) => "Try again in a moment. Who is signed in stays so.",
            ("idempotency-key-in-use", _) => "The first request is still under way. Wait a moment, then reload.",
            ("precondition-failed", _) => "Nothing was changed. Open the page again to see how it is now.",
            (_, 404) => {
                "It may have been deleted, or it belongs to an organization that you are not working in now."
            }
            (_, 405) => "Open the page that you came from and use its buttons.",
            (_, 429) => return self.wait(),
            (_, 500..) => {
                "It is not your fault. Try again in a moment: a form that is sent twice does what it says once. If it \
                 stays like this, tell the operator the request's number."
            }
            _ => "Go back, look at what was sent, and try again.",
        }
        .to_owned()
    }

    fn wait(&self) -> String {
        match &self.retry_after {
            Some(seconds) => format!("You were faster than the limit allows. Try again in {seconds} s."),
            None => "You were faster than the limit allows. Try again in a moment.".to_owned(),
        }
    }
}

impl Fault {
    /// Whether it is about this field, or about one of several values in it.
    pub fn is_at(&self, field: &str) -> bool {
        self.pointer.strip_prefix('/').and_then(|pointer| pointer.split('/').next()) == Some(field)
    }

    /// For the person who fills the field in.
    pub fn message(&self) -> String {
        let detail = self.detail.as_str();
        match self.code.as_str() {
            "missing-field" => "Fill this in.".to_owned(),
            "wrong-length" if detail.starts_with("invalid length 0") => "Fill this in.".to_owned(),
            "unknown-variant" => "Choose one of these.".to_owned(),
            "wrong-type" => "This is not of the right form.".to_owned(),
            // serde says first what it got, which the person sees in the field.
            "wrong-length" => sentence(detail.split_once(": ").map_or(detail, |(_, wanted)| wanted)),
            _ => sentence(detail),
        }
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use foundation::problem::codes;

    #[test]
    fn faults_are_found_at_their_field_and_said_plainly() {
        let problem = Problem::new(&codes::VALIDATION_FAILED)
            .error("/title", "wrong-length", "invalid length 0: this text must not be empty")
            .error("/name", "wrong-length", "invalid length 201: at most 200 characters")
            .error("/scopes/3", "invalid-value", "a scope is <resource>:read or <resource>:write");
        let refusal = Refusal::from(&problem);
        assert!(refusal.is_about_the_form());
        let at = |field| refusal.errors.iter().find(|fault| fault.is_at(field)).map(Fault::message);
        assert_eq!(at("title").unwrap(), "Fill this in.");
        assert_eq!(at("name").unwrap(), "At most 200 characters.");
        assert_eq!(at("scopes").unwrap(), "A scope is <resource>:read or <resource>:write.");
        assert_eq!(at("scope"), None);
    }
}
