//! Apple: answers by a form, names once, truth values as text, addresses that are relays.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shares;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::assertion::{Expected, check_apple};
use crate::fields::Fields;
use crate::flow::{Desk, Visit, authorize, code, is_asker, is_challenge};
use crate::keys::{Key, random};
use crate::page;
use crate::people::Account;
use crate::provider::Provider;
use crate::registration::{Proof, Registration};
use crate::token::{described, id_token};
use crate::world::{Grant, State, World};

const PROVIDER: Provider = Provider::Apple;
const ACCESS_LASTS: Duration = Duration::from_secs(3600);

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(describe))
        .route("/auth/keys", get(keys))
        .route("/auth/authorize", get(authorize::<Apple>).post(authorize::<Apple>))
        .route("/auth/token", post(token))
        .with_state(world)
}

fn issuer(state: &State) -> String {
    state.origin(PROVIDER, "appleid.apple.com")
}

async fn describe(Shares(world): Shares<Arc<World>>) -> Json<Value> {
    Json(world.change(|state| {
        let issuer = issuer(state);
        let description = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth/authorize"),
            "token_endpoint": format!("{issuer}/auth/token"),
            "jwks_uri": format!("{issuer}/auth/keys"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "name"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"]
        });
        described(state, PROVIDER, description)
    }))
}

async fn keys(Shares(world): Shares<Arc<World>>) -> Json<Value> {
    world.change(|state| {
        Json(json!({"keys": state.keys(PROVIDER).iter().map(Key::published).collect::<Vec<_>>()}))
    })
}

struct Apple;

impl Desk for Apple {
    const PROVIDER: Provider = PROVIDER;
    const TITLE: &'static str = "Apple";
    const PROMPTS: &'static [&'static str] = &[];
    const KNOWS_MAX_AGE: bool = false;

    fn check(state: &mut State, visit: &Visit) -> Result<Registration, Box<Response>> {
        let told = |what: &str| Err(Box::new(page::told(StatusCode::BAD_REQUEST, what)));
        let Some(client) = state.service(PROVIDER).registration(visit.field("client_id")).cloned() else {
            return told("invalid_client");
        };
        if !client.redirect_uris.iter().any(|uri| uri == visit.field("redirect_uri")) {
            return told("invalid_request: Invalid web redirect url.");
        }
        if !visit.fields.is("response_type", "code") || !is_challenge(&visit.fields) {
            return told("invalid_request");
        }
        let scopes = visit.fields.words("scope");
        if scopes.iter().any(|scope| !["openid", "name", "email"].contains(scope)) {
            return told("invalid_scope");
        }
        let by_form = visit.fields.is("response_mode", "form_post");
        if !by_form && scopes.iter().any(|scope| ["name", "email"].contains(scope)) {
            return told(
                "invalid_request: response_mode must be form_post when name or email scope is requested.",
            );
        }
        Ok(client)
    }

    fn admit(state: &mut State, visit: &Visit, client: &Registration, person: &str) -> Response {
        let (code, now) = (code(visit, client, person, visit.field("scope").to_owned()), state.now());
        let account = state.account(PROVIDER, person);
        let first = state.service(PROVIDER).consents_first(&client.client_id, person);
        // Said this one time, and never again.
        let user = (first && code.grant.has("name")).then(|| {
            let name = json!({"firstName": account.given_name, "lastName": account.family_name});
            json!({"name": name, "email": address(&account)}).to_string()
        });
        let code = state.service(PROVIDER).hand_out_code(code, now);
        let mut given = vec![("state", visit.field("state")), ("code", &code)];
        if let Some(user) = &user {
            given.push(("user", user));
        }
        back(visit, &given)
    }

    fn refuse(_: &mut State, visit: &Visit) -> Response {
        back(visit, &[("state", visit.field("state")), ("error", "user_cancelled_authorize")])
    }
}

fn back(visit: &Visit, given: &[(&str, &str)]) -> Response {
    let to = visit.field("redirect_uri");
    if visit.fields.is("response_mode", "form_post") {
        page::post_back(to, given)
    } else {
        page::send_back(to, given)
    }
}

/// The address that clients see.
fn address(account: &Account) -> Option<String> {
    if account.hidden {
        let name: String = account.subject.chars().filter(char::is_ascii_hexdigit).take(10).collect();
        return Some(format!("{name}@privaterelay.appleid.com"));
    }
    account.email.clone()
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

async fn token(Shares(world): Shares<Arc<World>>, headers: HeaderMap, body: String) -> Response {
    let fields = Fields::of(&body);
    world.change(|state| {
        let (id, secret) = fields.credential(&headers);
        let Some(client) = state.service(PROVIDER).registration(&id).cloned() else {
            return refused("invalid_client");
        };
        let Proof::Key { pem, key_id, team_id } = &client.proof else { return refused("invalid_client") };
        let (audience, now) = (issuer(state), state.now());
        let expected = Expected { client_id: &id, audience: &audience, now: now.unix_timestamp() };
        let secret = secret.unwrap_or_default();
        if let Err(problem) = check_apple(&secret, (pem, key_id, team_id), &expected) {
            tracing::info!(problem, "a client secret was refused");
            return refused("invalid_client");
        }
        match fields.get("grant_type") {
            Some("authorization_code") => {
                let code = state.service(PROVIDER).take_code(fields.get("code").unwrap_or_default(), now);
                let good = code.filter(|code| {
                    code.grant.client_id == client.client_id
                        && fields.is("redirect_uri", &code.redirect_uri)
                        && is_asker(code, &fields)
                });
                let Some(code) = good else { return refused("invalid_grant") };
                let refresh = state.service(PROVIDER).hand_out_refresh("r", &code.grant);
                let mut answer = answer(state, &client, &code.grant, code.nonce.as_deref());
                answer["refresh_token"] = refresh.into();
                Json(answer).into_response()
            }
            Some("refresh_token") => {
                let token = fields.get("refresh_token").unwrap_or_default();
                let grant = state.service(PROVIDER).refresh(token).cloned();
                match grant.filter(|grant| grant.client_id == client.client_id) {
                    Some(grant) => Json(answer(state, &client, &grant, None)).into_response(),
                    None => refused("invalid_grant"),
                }
            }
            _ => refused("unsupported_grant_type"),
        }
    })
}

fn answer(state: &mut State, client: &Registration, grant: &Grant, nonce: Option<&str>) -> Value {
    let ends = state.now() + ACCESS_LASTS;
    let access = state.service(PROVIDER).hand_out_access("a", grant, ends);
    let account = state.account(PROVIDER, &grant.person);
    let mut claims =
        json!({"iss": issuer(state), "sub": account.subject, "auth_time": state.now().unix_timestamp()});
    if let Some(email) = address(&account).filter(|_| grant.has("email")) {
        claims["email"] = email.into();
        claims["email_verified"] = account.verified.to_string().into();
        if account.hidden {
            claims["is_private_email"] = "true".into();
        }
    }
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
        claims["nonce_supported"] = true.into();
    }
    let id_token = id_token(state, PROVIDER, client, claims, &access);
    json!({
        "access_token": access, "token_type": "Bearer", "expires_in": ACCESS_LASTS.as_secs(),
        "id_token": id_token
    })
}

/// What Apple tells a client of one of its people: a body that it posts.
pub(crate) fn notification(state: &mut State, client_id: &str, person: &str, kind: &str) -> String {
    let account = state.account(PROVIDER, person);
    let now = state.now();
    let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
    let mut event = json!({"type": kind, "sub": account.subject, "event_time": milliseconds});
    if kind.starts_with("email-") {
        event["email"] = address(&account).into();
        event["is_private_email"] = account.hidden.to_string().into();
    }
    let issuer = issuer(state);
    // The events are JSON within a text.
    let claims = json!({
        "iss": issuer, "aud": client_id, "iat": now.unix_timestamp(), "jti": random(),
        "events": event.to_string()
    });
    let token = state.signing_key(PROVIDER, &issuer).token(&claims);
    json!({"payload": token}).to_string()
}
