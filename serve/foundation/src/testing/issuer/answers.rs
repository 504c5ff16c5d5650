//! The issuer's paths.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Request, State as Shares};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::state::{Code, Shared, challenge, random};
use super::{CLIENT_ID, CLIENT_SECRET, Fault, Identity};
use crate::html::escape;

type Fields = HashMap<String, String>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(describe))
        .route("/keys", get(keys))
        .route("/authorize", get(ask).post(answered))
        .route("/token", post(token))
        .route("/end-session", get(end_session))
        .layer(from_fn_with_state(Arc::clone(&shared), count))
        .with_state(shared)
}

/// Counts, and takes its time where it is to be slow.
async fn count(Shares(shared): Shares<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let fault = shared.change(|state| {
        *state.asked.entry(path).or_default() += 1;
        state.fault
    });
    if let Some(Fault::Slow(time)) = fault {
        tokio::time::sleep(time).await;
    }
    next.run(request).await
}

async fn describe(Shares(shared): Shares<Arc<Shared>>) -> Json<Value> {
    let name = shared.name();
    let other = shared.change(|state| state.fault == Some(Fault::OtherDescription));
    Json(json!({
        "issuer": if other { "https://issuer.example" } else { name },
        "authorization_endpoint": format!("{name}/authorize"),
        "token_endpoint": format!("{name}/token"),
        "jwks_uri": format!("{name}/keys"),
        "end_session_endpoint": format!("{name}/end-session"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true
    }))
}

async fn keys(Shares(shared): Shares<Arc<Shared>>) -> Json<Value> {
    Json(shared.change(|state| state.published()))
}

/// Somebody comes from the application.
async fn ask(Shares(shared): Shares<Arc<Shared>>, uri: Uri) -> Response {
    let fields = fields(uri.query().unwrap_or_default());
    if let Err(response) = check(&shared, &fields) {
        return *response;
    }
    match shared.change(|state| state.awaited.clone()) {
        Some(identity) => admit(&shared, &fields, identity),
        None => form(&fields),
    }
}

/// Somebody has said who it is.
async fn answered(Shares(shared): Shares<Arc<Shared>>, body: String) -> Response {
    let fields = fields(&body);
    match (check(&shared, &fields), fields.get("username")) {
        (Err(response), _) => *response,
        (Ok(()), Some(username)) if !username.is_empty() => admit(&shared, &fields, Identity::of(username)),
        (Ok(()), _) => send_back(&fields, &[("error", "access_denied")]),
    }
}

/// What a real issuer checks before it asks anybody.
fn check(shared: &Shared, fields: &Fields) -> Result<(), Box<Response>> {
    let is = |name: &str, value: &str| fields.get(name).is_some_and(|found| found == value);
    // Who is not known is not sent anywhere.
    if !is("client_id", CLIENT_ID) || !is("redirect_uri", &shared.redirect_uri) {
        let answer = (StatusCode::BAD_REQUEST, "unknown client or redirect URI");
        return Err(Box::new(answer.into_response()));
    }
    let openid = fields.get("scope").is_some_and(|scope| scope.split(' ').any(|word| word == "openid"));
    let challenged = is("code_challenge_method", "S256")
        && fields.get("code_challenge").is_some_and(|text| text.len() == 43);
    if is("response_type", "code") && openid && challenged {
        return Ok(());
    }
    Err(Box::new(send_back(fields, &[("error", "invalid_request")])))
}

fn admit(shared: &Shared, fields: &Fields, identity: Identity) -> Response {
    let code = random();
    let kept = Code {
        identity,
        nonce: fields.get("nonce").cloned(),
        challenge: fields["code_challenge"].clone(),
        redirect_uri: fields["redirect_uri"].clone(),
    };
    let other = shared.change(|state| {
        state.codes.insert(code.clone(), kept);
        state.fault == Some(Fault::OtherIssuerAnswers)
    });
    let issuer = if other { "https://issuer.example" } else { shared.name() };
    send_back(fields, &[("code", &code), ("iss", issuer)])
}

fn send_back(fields: &Fields, answer: &[(&str, &str)]) -> Response {
    let mut url: Url = fields["redirect_uri"].parse().unwrap();
    let state = fields.get("state").map(|state| ("state", state.as_str()));
    url.query_pairs_mut().extend_pairs(answer).extend_pairs(state);
    Redirect::to(url.as_str()).into_response()
}

/// Who is it? Without a script, with the question's parameters in hidden fields.
fn form(fields: &Fields) -> Response {
    let hidden: String = fields
        .iter()
        .map(|(name, value)| {
            format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value))
        })
        .collect();
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Sign in</title></head>\n<body><main>\n\
         <h1>Sign in</h1>\n<form method=\"post\" action=\"/authorize\">\n{hidden}<label for=\"username\">Name</label>\n\
         <input id=\"username\" name=\"username\" autocomplete=\"username\">\n<button id=\"submit\">Sign in</button>\n\
         </form></main></body>\n</html>\n"
    ))
    .into_response()
}

/// An ID token for a code: once, for the client that asked, by who knows the verifier.
async fn token(Shares(shared): Shares<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let fields = fields(&body);
    let refused = |status, error: &str| (status, Json(json!({"error": error}))).into_response();
    if !is_client(&headers) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    shared.change(|state| {
        // Whatever comes of it, the code is used up.
        let code = state.codes.remove(field("code"));
        let good = code.filter(|code| {
            field("grant_type") == "authorization_code"
                && field("redirect_uri") == code.redirect_uri
                && challenge(field("code_verifier")) == code.challenge
        });
        let Some(code) = good else { return refused(StatusCode::BAD_REQUEST, "invalid_grant") };
        let id_token = state.id_token(&code);
        let answer = json!({
            "access_token": random(), "token_type": "Bearer", "expires_in": 300, "id_token": id_token
        });
        Json(answer).into_response()
    })
}

/// `client_secret_basic`: both parts encoded as in forms.
fn is_client(headers: &HeaderMap) -> bool {
    let pair = headers.get(AUTHORIZATION).and_then(|value| {
        let encoded = value.to_str().ok()?.strip_prefix("Basic ")?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    });
    let decoded = |text: &str| {
        let pairs = format!("x={text}");
        form_urlencoded::parse(pairs.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    pair.as_deref().and_then(|pair| pair.split_once(':')).is_some_and(|(id, secret)| {
        decoded(id).as_deref() == Some(CLIENT_ID) && decoded(secret).as_deref() == Some(CLIENT_SECRET)
    })
}

/// Ends the session here, and sends the browser back.
async fn end_session(uri: Uri) -> Response {
    let fields = fields(uri.query().unwrap_or_default());
    match (fields.get("client_id"), fields.get("post_logout_redirect_uri")) {
        (Some(client), Some(back)) if client == CLIENT_ID => Redirect::to(back).into_response(),
        _ => Html("<!doctype html>\n<title>Signed out</title>\n<p>You are signed out.</p>\n").into_response(),
    }
}

fn fields(encoded: &str) -> Fields {
    form_urlencoded::parse(encoded.as_bytes()).into_owned().collect()
}
