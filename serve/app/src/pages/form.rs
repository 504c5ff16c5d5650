//! Forms: what they are shown with, how they are read, and how they come back when something is wrong with them.

use std::collections::BTreeMap;
use std::fmt::Display;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use foundation::auth::scope::Scope;
use foundation::etag::{Condition, ETag};
use foundation::extract::FormBody;
use foundation::problem::{Problem, codes};
use foundation::write::idempotency::Answer;
use foundation::write::{FormRequest, Place, Unit};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use url::form_urlencoded;

use super::notice::Notice;
use super::refusal::{self, Fault, Refusal};
use super::visitor::Visitor;
use crate::state::App;

/// Longer than any answer to a form.
const LONGEST_ANSWER: usize = 256 << 10;

/// What a page's form is shown with.
#[derive(Debug)]
pub struct Form {
    /// Shows that the form is this site's.
    pub csrf_token: String,
    key: String,
    /// Why it was not accepted, where it was not.
    pub refusal: Option<Refusal>,
    values: Vec<(String, String)>,
    now: BTreeMap<&'static str, String>,
}

impl Form {
    /// An empty form.
    pub fn new(app: &App, visitor: &Visitor) -> Self {
        let (csrf_token, key) = (visitor.csrf_token.clone(), Visitor::key(app));
        Self { csrf_token, key, refusal: None, values: Vec::new(), now: BTreeMap::new() }
    }

    /// With this value in a field.
    pub fn with(mut self, field: &str, value: impl Into<String>) -> Self {
        self.values.push((field.to_owned(), value.into()));
        self
    }

    /// The form as it was sent, and what is wrong with it.
    pub fn again(app: &App, visitor: &Visitor, refused: Refused) -> Self {
        Self { refusal: Some(refused.refusal), values: refused.values, ..Self::new(app, visitor) }
    }

    /// Where something was changed meanwhile: what its fields say now, so that the person can compare, and its version,
    /// so that sending the form once more overwrites that.
    pub fn beside<const N: usize>(mut self, version: i64, now: [(&'static str, String); N]) -> Self {
        let differs =
            |(field, value): &(&'static str, String)| self.value(field) != value.replace("\r\n", "\n");
        self.now = now.into_iter().filter(differs).collect();
        self.values.retain(|(field, _)| field != "version");
        self.with("version", version.to_string())
    }

    /// Makes sending it twice do what it says once; each form of a page has a purpose of its own.
    pub fn key(&self, purpose: impl Display) -> String {
        format!("{}-{purpose}", self.key)
    }

    /// What a field holds.
    pub fn value(&self, field: &str) -> &str {
        value(&self.values, field)
    }

    /// Whether this is one of a field's values: an option that is chosen, a box that is checked.
    pub fn has(&self, field: &str, value: &str) -> bool {
        self.values.iter().any(|(name, held)| name == field && held == value)
    }

    /// What is wrong with a field.
    pub fn fault(&self, field: &str) -> Option<String> {
        let faults = self.refusal.iter().flat_map(|refusal| &refusal.errors);
        let messages: Vec<String> = faults.filter(|fault| fault.is_at(field)).map(Fault::message).collect();
        (!messages.is_empty()).then(|| messages.join(" "))
    }

    /// How much is wrong, and what is wrong with the form as a whole.
    pub fn summary(&self) -> String {
        let faults = self.refusal.iter().flat_map(|refusal| &refusal.errors);
        let (of_fields, others): (Vec<&Fault>, Vec<&Fault>) =
            faults.partition(|fault| !fault.pointer.is_empty());
        let mut said: Vec<String> = match of_fields.len() {
            0 => Vec::new(),
            1 => vec!["One field needs another look.".to_owned()],
            several => vec![format!("{several} fields need another look.")],
        };
        said.extend(others.into_iter().map(Fault::message));
        said.join(" ")
    }

    /// Whether something beside its label is said of a field.
    pub fn is_described(&self, field: &str, hint: &str) -> bool {
        !hint.is_empty() || self.fault(field).is_some() || self.now(field).is_some()
    }

    /// What a field says by now, where somebody else changed it.
    pub fn now(&self, field: &str) -> Option<&String> {
        self.now.get(field)
    }
}

fn value<'a>(values: &'a [(String, String)], field: &str) -> &'a str {
    values.iter().find(|(name, _)| name == field).map_or("", |(_, value)| value)
}

/// A form as it was sent, and the write that it asks for.
#[derive(Debug)]
pub struct Submitted<T> {
    values: Vec<(String, String)>,
    request: Result<FormRequest<T>, Problem>,
}

/// A form that was not accepted and can be put right.
#[derive(Debug)]
pub struct Refused {
    pub refusal: Refusal,
    values: Vec<(String, String)>,
}

/// What became of a form.
#[derive(Debug)]
pub enum Outcome {
    /// It has an answer, which leads on.
    Answered(Response),
    /// It is to be shown again.
    Again(Refused),
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Submitted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let form = FormBody::from_request(Request::from_parts(parts.clone(), body), state).await?;
        let values = form_urlencoded::parse(form.bytes()).into_owned().collect();
        let again = Request::from_parts(parts, Body::from(form.bytes().clone()));
        match FormRequest::from_request(again, state).await {
            Err(problem) if problem.code() != &codes::VALIDATION_FAILED => Err(problem),
            request => Ok(Self { values, request }),
        }
    }
}

impl<T> Submitted<T> {
    /// What a field holds, as it was sent.
    pub fn value(&self, field: &str) -> &str {
        value(&self.values, field)
    }

    /// Does what the form asks for, if the person has the scope and the form is right.
    ///
    /// # Errors
    /// A problem that the person cannot put right in the form.
    pub async fn perform(
        self,
        app: &App,
        visitor: &Visitor,
        scope: &Scope,
        effect: impl AsyncFnOnce(&mut Unit, T) -> Result<Answer, Problem>,
    ) -> Result<Outcome, Problem> {
        visitor.actor.require(scope)?;
        self.perform_own(app, visitor, effect).await
    }

    /// The same for what everybody may do with what is their own.
    ///
    /// # Errors
    /// As [`Submitted::perform`].
    pub async fn perform_own(
        self,
        app: &App,
        visitor: &Visitor,
        effect: impl AsyncFnOnce(&mut Unit, T) -> Result<Answer, Problem>,
    ) -> Result<Outcome, Problem> {
        self.perform_in(Place::Own, app, visitor, effect).await
    }

    /// The same in another place than the organization in which the person works: the effect asks whether the person may.
    ///
    /// # Errors
    /// As [`Submitted::perform`].
    pub async fn perform_in(
        self,
        place: Place,
        app: &App,
        visitor: &Visitor,
        effect: impl AsyncFnOnce(&mut Unit, T) -> Result<Answer, Problem>,
    ) -> Result<Outcome, Problem> {
        let FormRequest { write, fields } = match self.request {
            Ok(request) => request,
            Err(problem) => {
                return Ok(Outcome::Again(Refused { refusal: (&problem).into(), values: self.values }));
            }
        };
        let effect = async |unit: &mut Unit| effect(unit, fields).await;
        // Every form has a key, so a problem of the effect is an answer that is kept, like any other.
        let response = app.writes.perform_in(place, &visitor.actor, &write, effect).await?;
        if !refusal::is_problem(&response) {
            return Ok(Outcome::Answered(response));
        }
        let (refusal, response) = Refusal::of(response).await;
        Ok(if refusal.is_about_the_form() {
            Outcome::Again(Refused { refusal, values: self.values })
        } else {
            Outcome::Answered(response)
        })
    }
}

impl Outcome {
    /// The answer, or the page that `again` makes of what was refused.
    ///
    /// # Errors
    /// As the page.
    pub async fn or_again(
        self,
        again: impl AsyncFnOnce(Refused) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        match self {
            Self::Answered(response) => Ok(response),
            Self::Again(refused) => again(refused).await,
        }
    }
}

/// What an answer says that is not for the browser itself but for the page that is made of it: a secret that is shown
/// once, say, which is kept sealed and given again where the form is sent twice.
///
/// # Errors
/// A problem `internal` where it says something else, which is the server's mistake.
pub async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Problem> {
    let bytes = to_bytes(response.into_body(), LONGEST_ANSWER).await.unwrap_or_default();
    serde_json::from_slice(&bytes).map_err(|error| {
        tracing::error!(%error, "an answer is not what a page makes of it");
        Problem::new(&codes::INTERNAL)
    })
}

/// The lines of a field, each a value; empty ones are none.
///
/// # Errors
/// What is wrong with a line.
pub fn lines<'de, T, D>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: TryFrom<String, Error: Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let read = |line: &str| {
        T::try_from(line.to_owned()).map_err(|error| D::Error::custom(format!("{line} is {error}")))
    };
    let values = lines.map(read).collect::<Result<Vec<T>, _>>()?;
    Ok(Some(values).filter(|values| !values.is_empty()))
}

/// What a form says of the version that it changes.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Version(i64);

impl Version {
    /// For a write that must not overwrite what the person has not seen.
    pub fn condition(self) -> Condition {
        Condition::of(&ETag::of_version(self.0))
    }
}

/// The form of a button that changes something of this version.
#[derive(Debug, Deserialize)]
pub struct Versioned {
    pub version: Version,
}

/// Sends the browser on to a page that says what was done.
pub fn done(path: &str, notice: Notice) -> Answer {
    Answer::see_other(&notice.at(path))
}
