//! `GET /sign-in/callback`

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use foundation::audit::{Event, Origin};
use foundation::auth::actor::Actor;
use foundation::auth::session::{self, SessionKey, SessionSecret};
use foundation::problem::{Code, Problem, codes as common};
use foundation::request::RequestContext;
use foundation::write::Unit;
use foundation::write::idempotency::Answer;
use url::form_urlencoded;
use uuid::Uuid;

use super::attempt::{Attempt, Browser};
use super::issuer::IssuerError;
use super::token::Somebody;
use super::{SignIn, note_denied, of, redirect};
use crate::codes;
use crate::state::App;

const SIGNS_IN: &str = "SELECT person_signs_in($1, $2, $3, $4, $5)";
const TO_ENTER: &str = "SELECT organization_to_enter($1)";
/// A longer ID token is not kept: it would not fit into the URL of signing out.
const LONGEST_KEPT: usize = 4096;
/// A longer code is none.
const LONGEST_CODE: usize = 4096;

/// What the issuer sends the browser back with. Issuers add parameters of their own, which mean nothing here.
#[derive(Debug, Default)]
struct Returned {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

impl Returned {
    /// The parameters, each of which may be there once.
    fn read(uri: &Uri) -> Option<Self> {
        let mut returned = Self::default();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            let place = match &*name {
                "state" => &mut returned.state,
                "code" => &mut returned.code,
                "error" => &mut returned.error,
                "iss" => &mut returned.iss,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(returned)
    }
}

/// Why somebody is not signed in.
enum NotSignedIn {
    /// It is not to be: `reason` is for the audit log, the problem for the person.
    Denied { reason: &'static str, problem: Problem },
    /// It cannot be now.
    Unavailable(Problem),
}

impl From<IssuerError> for NotSignedIn {
    fn from(error: IssuerError) -> Self {
        let reason = match &error {
            IssuerError::Code => "code-refused",
            IssuerError::Token(error) => error.reason(),
            _ => return Self::Unavailable(error.into()),
        };
        let problem = Problem::from(error).detail("The issuer's answer is not to be believed.");
        Self::Denied { reason, problem }
    }
}

fn denied(code: &'static Code, reason: &'static str, detail: &str) -> NotSignedIn {
    NotSignedIn::Denied { reason, problem: Problem::new(code).detail(detail) }
}

/// Signs in whom the issuer has sent back.
pub async fn callback(
    State(app): State<Arc<App>>,
    context: RequestContext,
    actor: Option<Extension<Actor>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let sign_in = of(&app)?;
    let expired = || Problem::new(&codes::SIGN_IN_EXPIRED);
    let returned = Returned::read(&uri).ok_or_else(expired)?;
    let state = returned.state.as_deref().unwrap_or_default();
    // With a state that is not known nothing was begun, and so nothing is denied.
    let attempt = sign_in.attempts.take(state).await?.ok_or_else(expired)?;
    match identify(sign_in, &attempt, Browser::of(&headers).as_ref(), &returned).await {
        Ok((somebody, id_token)) => {
            let previous = match actor {
                Some(Extension(Actor::Person(person))) => Some(person.session),
                _ => None,
            };
            let secret = begin(&app, &context, somebody, id_token, previous).await?;
            Ok(redirect(&attempt.return_to, [secret.set_cookie()]))
        }
        Err(NotSignedIn::Denied { reason, problem }) => {
            note_denied(&app, &context, "session.sign-in", reason).await?;
            Err(problem)
        }
        Err(NotSignedIn::Unavailable(problem)) => Err(problem),
    }
}

/// Who has come back, with the token that says so.
async fn identify(
    sign_in: &SignIn,
    attempt: &Attempt,
    browser: Option<&Browser>,
    returned: &Returned,
) -> Result<(Somebody, String), NotSignedIn> {
    let failed = |reason, detail| Err(denied(&codes::SIGN_IN_FAILED, reason, detail));
    // Somebody else's answer would sign this person in as somebody else.
    if !attempt.is_by(browser) {
        let detail = "This sign-in began in another browser, or its cookie is gone. Sign in again, here.";
        return Err(denied(&codes::SIGN_IN_EXPIRED, "other-browser", detail));
    }
    let says_who = sign_in.issuer.description().await?.authorization_response_iss_parameter_supported;
    match &returned.iss {
        Some(issuer) if issuer != sign_in.issuer.name() => {
            return failed("other-issuer", "Another issuer has answered.");
        }
        None if says_who => return failed("other-issuer", "The answer does not say which issuer's it is."),
        _ => {}
    }
    match returned.error.as_deref() {
        Some("access_denied") => return failed("refused-by-issuer", "The issuer refused, or you did."),
        Some("temporarily_unavailable" | "server_error") => {
            let problem = Problem::new(&codes::SIGN_IN_UNAVAILABLE);
            return Err(NotSignedIn::Unavailable(
                problem.detail("The issuer says that it cannot do this now."),
            ));
        }
        Some(_) => return failed("error-of-issuer", "The issuer did not do what it was asked for."),
        None => {}
    }
    let Some(code) = returned.code.as_ref().filter(|code| (1..=LONGEST_CODE).contains(&code.len())) else {
        return failed("no-code", "The issuer's answer lacks its code.");
    };
    let id_token = sign_in.issuer.redeem(code, &attempt.verifier).await?;
    let somebody = sign_in.issuer.identify(&id_token, &attempt.nonce).await?;
    Ok((somebody, id_token))
}

/// Makes the person known, and begins a session in the place of the `previous` one. Nobody has its cookie before the
/// audit log has it.
async fn begin(
    app: &App,
    context: &RequestContext,
    somebody: Somebody,
    id_token: String,
    previous: Option<SessionKey>,
) -> Result<SessionSecret, Problem> {
    let Somebody { subject, sid, email, name } = somebody;
    let mut unit = app.writes.begin_without_key(&Origin::of(None, context)).await?;
    let (id, now) = (unit.new_id(), unit.now());
    let person: Uuid = one(&unit, SIGNS_IN, &[&id, &subject, &email, &name, &now]).await?;
    let organization: Option<Uuid> = one(&unit, TO_ENTER, &[&person]).await?;
    unit.go_on_as(person, organization).await?;
    let sign_in = session::SignIn {
        person,
        organization,
        subject,
        sid,
        id_token: Some(id_token).filter(|token| token.len() <= LONGEST_KEPT),
        address: context.address,
        user_agent: context.user_agent.as_deref().map(str::to_owned),
    };
    let sessions = &app.authentication.sessions;
    let secret = sessions.begin(sign_in, previous).await?;
    unit.audit(Event::new("session.sign-in", "session").of(secret.id()));
    match unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await {
        Ok(_) => Ok(secret),
        Err(problem) => {
            sessions.revoke(person, secret.id()).await?;
            Err(problem)
        }
    }
}

/// The one value of the one row of a function.
async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(
    unit: &Unit,
    sql: &'static str,
    values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<T, Problem> {
    let rows = unit.transaction.query(sql, values).await?;
    rows.first().map(|row| row.get(0)).ok_or_else(|| Problem::new(&common::INTERNAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_may_be_there_once() {
        let read = |query: &str| Returned::read(&format!("/sign-in/callback?{query}").parse().unwrap());
        let returned = read("state=s&code=a%2Bb&session_state=x&iss=https%3A%2F%2Fid.example").unwrap();
        assert_eq!(returned.state.as_deref(), Some("s"));
        assert_eq!(returned.code.as_deref(), Some("a+b"));
        assert_eq!(returned.iss.as_deref(), Some("https://id.example"));
        assert!(returned.error.is_none());
        assert!(read("state=s&state=t").is_none());
        assert!(read("code=a&code=a").is_none());
        assert!(read("").unwrap().state.is_none());
    }
}
