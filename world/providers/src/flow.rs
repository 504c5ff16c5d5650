//! What all of them do when somebody comes from a client: look at the question, ask who it is, and send back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shares;
use axum::http::{Method, Uri};
use axum::response::Response;

use time::OffsetDateTime;

use crate::fields::Fields;
use crate::keys::challenge;
use crate::page;
use crate::provider::Provider;
use crate::registration::Registration;
use crate::world::{Code, Grant, State, World};

/// Somebody's visit.
pub(crate) struct Visit {
    pub(crate) path: String,
    pub(crate) fields: Fields,
    /// When whoever comes has signed in: now, unless the provider knew the browser.
    pub(crate) signed_in: OffsetDateTime,
}

impl Visit {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_default()
    }
}

/// What one of them does in its own way.
pub(crate) trait Desk: 'static {
    const PROVIDER: Provider;
    const TITLE: &'static str;
    /// Words of `prompt` by which it asks also whoever is signed in.
    const PROMPTS: &'static [&'static str];
    /// Whether it asks whoever has signed in longer ago than the question allows.
    const KNOWS_MAX_AGE: bool;

    /// Whether somebody who is signed in since so long is asked all the same.
    fn asks_anew(question: &Fields, since: Duration) -> bool {
        let most = question.get("max_age").and_then(|text| text.parse().ok()).filter(|_| Self::KNOWS_MAX_AGE);
        question.words("prompt").iter().any(|word| Self::PROMPTS.contains(word))
            || most.is_some_and(|most| since >= Duration::from_secs(most))
    }

    /// The client, if the question is one that the provider answers.
    fn check(state: &mut State, visit: &Visit) -> Result<Registration, Box<Response>>;
    /// Sends back whoever has said who it is.
    fn admit(state: &mut State, visit: &Visit, client: &Registration, person: &str) -> Response;
    /// Sends back whoever does not want to.
    fn refuse(state: &mut State, visit: &Visit) -> Response;
}

/// The authorization endpoint.
pub(crate) async fn authorize<D: Desk>(
    Shares(world): Shares<Arc<World>>,
    method: Method,
    uri: Uri,
    body: String,
) -> Response {
    let is_answer = method == Method::POST;
    let fields = Fields::of(if is_answer { &body } else { uri.query().unwrap_or_default() });
    let path = uri.path().to_owned();
    world.change(|state| {
        let mut visit = Visit { path, fields, signed_in: state.now() };
        let client = match D::check(state, &visit) {
            Ok(client) => client,
            Err(response) => return *response,
        };
        let now = state.now();
        let awaited = state.service(D::PROVIDER).awaited.clone();
        let awaited = awaited.filter(|(_, signed_in)| {
            !is_answer && !D::asks_anew(&visit.fields, (now - *signed_in).try_into().unwrap_or_default())
        });
        if let Some((_, signed_in)) = &awaited {
            visit.signed_in = *signed_in;
        }
        let said = visit.field("username").trim().to_lowercase();
        if is_answer && (visit.fields.get("cancel").is_some() || said.is_empty()) {
            return D::refuse(state, &visit);
        }
        match if is_answer { Some(said) } else { awaited.map(|(person, _)| person) } {
            None => page::who(D::TITLE, &visit.path, &visit.fields),
            Some(person) if state.account(D::PROVIDER, &person).refuses => D::refuse(state, &visit),
            Some(person) => D::admit(state, &visit, &client, &person),
        }
    })
}

/// A code for what somebody has been asked.
pub(crate) fn code(visit: &Visit, client: &Registration, person: &str, scope: String) -> Code {
    let owned = |name: &str| visit.fields.get(name).map(ToOwned::to_owned);
    Code {
        grant: Grant { client_id: client.client_id.clone(), person: person.to_owned(), scope },
        redirect_uri: visit.field("redirect_uri").to_owned(),
        nonce: owned("nonce"),
        challenge: owned("code_challenge"),
        // Told to whoever has said how long ago it may be (OpenID Connect Core 1.0, section 2).
        auth_time: visit.fields.get("max_age").map(|_| visit.signed_in.unix_timestamp()),
        is_offline: false,
    }
}

/// Whether the question's challenge is one (RFC 7636), or there is none.
pub(crate) fn is_challenge(fields: &Fields) -> bool {
    match fields.get("code_challenge") {
        None => fields.get("code_challenge_method").is_none(),
        Some(text) => text.len() == 43 && fields.is("code_challenge_method", "S256"),
    }
}

/// Whether whoever redeems the code is who has asked for it: by the verifier, or without one where there was no challenge.
pub(crate) fn is_asker(code: &Code, fields: &Fields) -> bool {
    match (&code.challenge, fields.get("code_verifier")) {
        (None, None) => true,
        (Some(expected), Some(verifier)) => challenge(verifier) == *expected,
        _ => false,
    }
}
