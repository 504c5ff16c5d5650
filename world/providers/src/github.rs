//! GitHub: OAuth 2.0 without ID tokens, with errors whose status is 200, and an API that knows more than one address.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shares;
use axum::http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::fields::{Fields, bearer};
use crate::flow::{Desk, Visit, authorize, code, is_asker, is_challenge};
use crate::page;
use crate::provider::Provider;
use crate::registration::{Proof, Registration};
use crate::world::{Grant, State, World};

const PROVIDER: Provider = Provider::Github;
/// Tokens of a GitHub App, where they end.
const APP_TOKEN_LASTS: Duration = Duration::from_secs(8 * 3600);
/// Those of an OAuth App do not, as long as they are used.
const TOKEN_LASTS: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) fn router(world: Arc<World>) -> Router {
    let api = Router::new()
        .route("/user", get(user))
        .route("/user/emails", get(emails))
        .route("/rate_limit", get(rate_limit));
    Router::new()
        .route("/login/oauth/authorize", get(authorize::<Github>).post(authorize::<Github>))
        .route("/login/oauth/access_token", post(token))
        .merge(api.clone())
        // Where GitHub is on a company's own server.
        .nest("/api/v3", api)
        .with_state(world)
}

struct Github;

impl Desk for Github {
    const PROVIDER: Provider = PROVIDER;
    const TITLE: &'static str = "GitHub";
    const PROMPTS: &'static [&'static str] = &["select_account"];
    const KNOWS_MAX_AGE: bool = false;

    fn check(state: &mut State, visit: &Visit) -> Result<Registration, Box<Response>> {
        let Some(client) = state.service(PROVIDER).registration(visit.field("client_id")).cloned() else {
            return Err(Box::new(page::told(StatusCode::NOT_FOUND, "Not Found")));
        };
        let back = client.redirect_uris.first().map(String::as_str).unwrap_or_default().to_owned();
        let refused = |error: &str, description: &str| {
            let given =
                [("error", error), ("error_description", description), ("state", visit.field("state"))];
            Err(Box::new(page::send_back(&back, &given)))
        };
        // Whoever is to be sent elsewhere is sent to where the client is registered.
        if !client.redirect_uris.iter().any(|uri| is_below(visit.field("redirect_uri"), uri)) {
            let description = "The redirect_uri MUST match the registered callback URL for this application.";
            return refused("redirect_uri_mismatch", description);
        }
        if !is_challenge(&visit.fields) {
            return refused("invalid_request", "Only the code challenge method S256 is supported.");
        }
        Ok(client)
    }

    fn admit(state: &mut State, visit: &Visit, client: &Registration, person: &str) -> Response {
        let scope = visit.fields.words("scope").join(",");
        let (code, now) = (code(visit, client, person, scope), state.now());
        let code = state.service(PROVIDER).hand_out_code(code, now);
        page::send_back(visit.field("redirect_uri"), &[("code", &code), ("state", visit.field("state"))])
    }

    fn refuse(_: &mut State, visit: &Visit) -> Response {
        let given = [
            ("error", "access_denied"),
            ("error_description", "The user has denied your application access."),
            ("state", visit.field("state")),
        ];
        page::send_back(visit.field("redirect_uri"), &given)
    }
}

/// The same place, or one below it.
fn is_below(asked: &str, registered: &str) -> bool {
    let (Ok(asked), Ok(registered)) = (Url::parse(asked), Url::parse(registered)) else { return false };
    let folder = format!("{}/", registered.path().trim_end_matches('/'));
    let fits = asked.path() == registered.path() || asked.path().starts_with(&folder);
    asked.origin() == registered.origin() && fits
}

/// JSON for who asks for it, and a form's encoding for everybody else. The status is 200 whatever it says.
fn said(headers: &HeaderMap, members: &[(&str, Value)]) -> Response {
    let wants_json = headers.get(ACCEPT).is_some_and(|value| value.as_bytes() == b"application/json");
    if wants_json {
        let object: serde_json::Map<_, _> =
            members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        return Json(Value::Object(object)).into_response();
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in members {
        form.append_pair(name, &text(value));
    }
    ([(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")], form.finish()).into_response()
}

async fn token(Shares(world): Shares<Arc<World>>, headers: HeaderMap, body: String) -> Response {
    let fields = Fields::of(&body);
    let refused = |error: &str, description: &str| {
        said(&headers, &[("error", error.into()), ("error_description", description.into())])
    };
    world.change(|state| {
        let (id, secret) = fields.credential(&headers);
        let Some(client) = state.service(PROVIDER).registration(&id).cloned() else {
            return (StatusCode::NOT_FOUND, Json(json!({"error": "Not Found"}))).into_response();
        };
        if !matches!((&client.proof, &secret), (Proof::Secret(known), Some(sent)) if known == sent) {
            let description = "The client_id and/or client_secret passed are incorrect.";
            return refused("incorrect_client_credentials", description);
        }
        if fields.is("grant_type", "refresh_token") {
            let token = fields.get("refresh_token").unwrap_or_default();
            let grant = state.service(PROVIDER).take_refresh(token);
            return match grant.filter(|grant| grant.client_id == client.client_id) {
                Some(grant) => said(&headers, &answer(state, &client, &grant)),
                None => refused("bad_refresh_token", "The refresh token passed is incorrect or expired."),
            };
        }
        let now = state.now();
        let code = state.service(PROVIDER).take_code(fields.get("code").unwrap_or_default(), now);
        let code = code.filter(|code| code.grant.client_id == client.client_id && is_asker(code, &fields));
        let Some(code) = code else {
            return refused("bad_verification_code", "The code passed is incorrect or expired.");
        };
        if fields.get("redirect_uri").is_some_and(|uri| uri != code.redirect_uri) {
            let description = "The redirect_uri MUST match the registered callback URL for this application.";
            return refused("redirect_uri_mismatch", description);
        }
        said(&headers, &answer(state, &client, &code.grant))
    })
}

fn answer(state: &mut State, client: &Registration, grant: &Grant) -> Vec<(&'static str, Value)> {
    let lasts = if client.tokens_end { APP_TOKEN_LASTS } else { TOKEN_LASTS };
    let ends = state.now() + lasts;
    let service = state.service(PROVIDER);
    let prefix = if client.tokens_end { "ghu_" } else { "gho_" };
    let mut answer = vec![
        ("access_token", service.hand_out_access(prefix, grant, ends).into()),
        ("token_type", "bearer".into()),
        ("scope", grant.scope.as_str().into()),
    ];
    if client.tokens_end {
        answer.push(("expires_in", APP_TOKEN_LASTS.as_secs().into()));
        answer.push(("refresh_token", service.hand_out_refresh("ghr_", grant).into()));
        answer.push(("refresh_token_expires_in", 15_811_200.into()));
    }
    answer
}

/// Whose token it is, if the request is one that the API answers.
fn caller(state: &mut State, headers: &HeaderMap) -> Result<Grant, Box<Response>> {
    let refused =
        |status, message: &str| Err(Box::new((status, Json(json!({"message": message}))).into_response()));
    if !headers.contains_key(USER_AGENT) {
        return refused(StatusCode::FORBIDDEN, "Request forbidden by administrative rules.");
    }
    let now = state.now();
    match state.service(PROVIDER).access(bearer(headers), now) {
        Some(grant) => Ok(Grant { scope: grant.scope.replace(',', " "), ..grant.clone() }),
        None => refused(StatusCode::UNAUTHORIZED, "Bad credentials"),
    }
}

async fn user(Shares(world): Shares<Arc<World>>, headers: HeaderMap) -> Response {
    world.change(|state| {
        let grant = match caller(state, &headers) {
            Ok(grant) => grant,
            Err(response) => return *response,
        };
        let account = state.account(PROVIDER, &grant.person);
        let shown = account.public_email.clone().or(account.email.clone().filter(|_| !account.hidden));
        let id: u64 = account.subject.parse().unwrap_or_default();
        Json(json!({
            "login": grant.person, "id": id, "type": "User", "name": account.name(), "email": shown,
            "avatar_url": account.picture
        }))
        .into_response()
    })
}

async fn emails(Shares(world): Shares<Arc<World>>, headers: HeaderMap) -> Response {
    world.change(|state| {
        let grant = match caller(state, &headers) {
            Ok(grant) => grant,
            Err(response) => return *response,
        };
        if !grant.has("user:email") && !grant.has("user") {
            return (StatusCode::NOT_FOUND, Json(json!({"message": "Not Found"}))).into_response();
        }
        let account = state.account(PROVIDER, &grant.person);
        let relay = format!("{}+{}@users.noreply.github.com", account.subject, grant.person);
        let mut all = vec![json!({"email": relay, "primary": false, "verified": true, "visibility": null})];
        if let Some(public) =
            account.public_email.as_ref().filter(|public| Some(*public) != account.email.as_ref())
        {
            all.push(json!({"email": public, "primary": false, "verified": false, "visibility": null}));
        }
        if let Some(email) = &account.email {
            let visibility = if account.hidden { "private" } else { "public" };
            all.push(json!({
                "email": email, "primary": true, "verified": account.verified, "visibility": visibility
            }));
        }
        Json(all).into_response()
    })
}

async fn rate_limit() -> Json<Value> {
    Json(json!({"rate": {"limit": 60, "remaining": 60, "used": 0}}))
}
