//! Google: OpenID Connect, with refresh tokens for whoever asks for offline access, once.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shares;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::fields::{Fields, bearer};
use crate::flow::{Desk, Visit, authorize, code, is_asker, is_challenge};
use crate::keys::Key;
use crate::page;
use crate::people::Account;
use crate::provider::Provider;
use crate::registration::{Proof, Registration};
use crate::token::{answers_as, described, id_token};
use crate::world::{Grant, State, World};

const PROVIDER: Provider = Provider::Google;
const ACCESS_LASTS: Duration = Duration::from_secs(3599);
/// Scopes that anybody may ask for, in both of their forms.
const SCOPES: [&str; 5] = [
    "openid",
    "email",
    "profile",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
];

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(describe))
        .route("/oauth2/v3/certs", get(keys))
        .route("/o/oauth2/v2/auth", get(authorize::<Google>).post(authorize::<Google>))
        .route("/token", post(token))
        .route("/v1/userinfo", get(userinfo))
        .with_state(world)
}

fn issuer(state: &State) -> String {
    state.origin(PROVIDER, "accounts.google.com")
}

async fn describe(Shares(world): Shares<Arc<World>>) -> Json<Value> {
    Json(world.change(|state| {
        let accounts = issuer(state);
        let at = |host: &str, path: &str| format!("{}{path}", state.origin(PROVIDER, host));
        let description = json!({
            "issuer": accounts,
            "authorization_endpoint": format!("{accounts}/o/oauth2/v2/auth"),
            "token_endpoint": at("oauth2.googleapis.com", "/token"),
            "userinfo_endpoint": at("openidconnect.googleapis.com", "/v1/userinfo"),
            "jwks_uri": at("www.googleapis.com", "/oauth2/v3/certs"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": ["plain", "S256"]
        });
        described(state, PROVIDER, description)
    }))
}

async fn keys(Shares(world): Shares<Arc<World>>) -> Json<Value> {
    world.change(|state| {
        Json(json!({"keys": state.keys(PROVIDER).iter().map(Key::published).collect::<Vec<_>>()}))
    })
}

struct Google;

impl Desk for Google {
    const PROVIDER: Provider = PROVIDER;
    const TITLE: &'static str = "Google";
    const PROMPTS: &'static [&'static str] = &["select_account"];
    const KNOWS_MAX_AGE: bool = true;

    fn check(state: &mut State, visit: &Visit) -> Result<Registration, Box<Response>> {
        let told = |status, what: &str| Err(Box::new(page::told(status, what)));
        let Some(client) = state.service(PROVIDER).registration(visit.field("client_id")).cloned() else {
            return told(StatusCode::UNAUTHORIZED, "Error 401: invalid_client");
        };
        let redirect_uri = visit.field("redirect_uri");
        if !client.redirect_uris.iter().any(|uri| uri == redirect_uri) {
            return told(StatusCode::BAD_REQUEST, "Error 400: redirect_uri_mismatch");
        }
        let scopes = visit.fields.words("scope");
        if scopes.is_empty() || scopes.iter().any(|scope| !SCOPES.contains(scope)) {
            return told(StatusCode::BAD_REQUEST, "Error 400: invalid_scope");
        }
        if !visit.fields.is("response_type", "code") || !is_challenge(&visit.fields) {
            return told(StatusCode::BAD_REQUEST, "Error 400: invalid_request");
        }
        Ok(client)
    }

    fn admit(state: &mut State, visit: &Visit, client: &Registration, person: &str) -> Response {
        let mut code = code(visit, client, person, visit.field("scope").to_owned());
        let first = state.service(PROVIDER).consents_first(&client.client_id, person);
        let asks_again = visit.fields.words("prompt").contains(&"consent");
        // A refresh token comes with the consent, and not with later sign-ins.
        code.is_offline = visit.fields.is("access_type", "offline") && (first || asks_again);
        let (now, name) = (state.now(), issuer(state));
        let code = state.service(PROVIDER).hand_out_code(code, now);
        let name = answers_as(state, PROVIDER, name);
        let given = [("state", visit.field("state")), ("iss", &name), ("code", &code)];
        page::send_back(visit.field("redirect_uri"), &given)
    }

    fn refuse(_: &mut State, visit: &Visit) -> Response {
        let given = [("error", "access_denied"), ("state", visit.field("state"))];
        page::send_back(visit.field("redirect_uri"), &given)
    }
}

fn refused(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({"error": error, "error_description": description}))).into_response()
}

async fn token(Shares(world): Shares<Arc<World>>, headers: HeaderMap, body: String) -> Response {
    let fields = Fields::of(&body);
    world.change(|state| {
        let (id, secret) = fields.credential(&headers);
        let client = state.service(PROVIDER).registration(&id).cloned();
        let Some(client) = client else {
            return refused(StatusCode::UNAUTHORIZED, "invalid_client", "The OAuth client was not found.");
        };
        if !matches!((&client.proof, &secret), (Proof::Secret(known), Some(sent)) if known == sent) {
            return refused(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "The provided client secret is invalid.",
            );
        }
        match fields.get("grant_type") {
            Some("authorization_code") => redeem(state, &fields, &client),
            Some("refresh_token") => refresh(state, &fields, &client),
            _ => refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Invalid grant_type"),
        }
    })
}

fn redeem(state: &mut State, fields: &Fields, client: &Registration) -> Response {
    let now = state.now();
    let bad = |description| refused(StatusCode::BAD_REQUEST, "invalid_grant", description);
    let Some(code) = state.service(PROVIDER).take_code(fields.get("code").unwrap_or_default(), now) else {
        return bad("Malformed auth code.");
    };
    if code.grant.client_id != client.client_id {
        return bad("Bad Request");
    }
    if !fields.is("redirect_uri", &code.redirect_uri) {
        return refused(StatusCode::BAD_REQUEST, "redirect_uri_mismatch", "Bad Request");
    }
    if !is_asker(&code, fields) {
        return bad("Invalid code verifier.");
    }
    let refresh = code.is_offline.then(|| state.service(PROVIDER).hand_out_refresh("1//", &code.grant));
    let mut answer = answer(state, client, &code.grant, (code.nonce.as_deref(), code.auth_time));
    if let Some(refresh) = refresh {
        answer["refresh_token"] = refresh.into();
    }
    Json(answer).into_response()
}

fn refresh(state: &mut State, fields: &Fields, client: &Registration) -> Response {
    let grant = state.service(PROVIDER).refresh(fields.get("refresh_token").unwrap_or_default()).cloned();
    match grant.filter(|grant| grant.client_id == client.client_id) {
        Some(grant) => Json(answer(state, client, &grant, (None, None))).into_response(),
        None => refused(StatusCode::BAD_REQUEST, "invalid_grant", "Token has been expired or revoked."),
    }
}

fn answer(
    state: &mut State,
    client: &Registration,
    grant: &Grant,
    (nonce, auth_time): (Option<&str>, Option<i64>),
) -> Value {
    let ends = state.now() + ACCESS_LASTS;
    let access = state.service(PROVIDER).hand_out_access("ya29.", grant, ends);
    let account = state.account(PROVIDER, &grant.person);
    let mut claims = claims(grant, &account);
    claims["iss"] = issuer(state).into();
    claims["azp"] = client.client_id.as_str().into();
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    if let Some(auth_time) = auth_time {
        claims["auth_time"] = auth_time.into();
    }
    let id_token = id_token(state, PROVIDER, client, claims, &access);
    json!({
        "access_token": access, "expires_in": ACCESS_LASTS.as_secs(), "scope": grant.scope,
        "token_type": "Bearer", "id_token": id_token
    })
}

fn claims(grant: &Grant, account: &Account) -> Value {
    let mut claims = json!({"sub": account.subject});
    if grant.has("email") || grant.has(SCOPES[3]) {
        if let Some(email) = &account.email {
            claims["email"] = email.as_str().into();
            claims["email_verified"] = account.verified.into();
        }
        if let Some(domain) = &account.tenant {
            claims["hd"] = domain.as_str().into();
        }
    }
    if grant.has("profile") || grant.has(SCOPES[4]) {
        claims["name"] = account.name().into();
        claims["given_name"] = account.given_name.as_str().into();
        claims["family_name"] = account.family_name.as_str().into();
        claims["picture"] = account.picture.as_deref().into();
    }
    claims
}

async fn userinfo(Shares(world): Shares<Arc<World>>, headers: HeaderMap) -> Response {
    world.change(|state| {
        let now = state.now();
        let Some(grant) = state.service(PROVIDER).access(bearer(&headers), now).cloned() else {
            return refused(StatusCode::UNAUTHORIZED, "invalid_request", "Invalid Credentials");
        };
        let account = state.account(PROVIDER, &grant.person);
        Json(claims(&grant, &account)).into_response()
    })
}
