//! How the lab tells the world's people and providers what to do: JSON over plain HTTP, at an address of its own.

use std::sync::Arc;

use axum::extract::{Path, State as Shares};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use foundation::http_client::HttpClient;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::apple;
use crate::fault::Fault;
use crate::provider::Provider;
use crate::world::World;

/// What the control needs.
pub(crate) struct Control {
    pub(crate) world: Arc<World>,
    /// Tells clients what becomes of Apple's people.
    pub(crate) http: HttpClient,
}

type Shared = Shares<Arc<Control>>;

pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/people/{provider}/{person}", get(show).patch(change).delete(delete))
        .route("/people/apple/{person}/notifications", post(notify))
        .route("/providers/{provider}/awaited", put(awaits))
        .route("/providers/{provider}/fault", put(does_wrong))
        .route("/providers/{provider}/keys", post(rotate_keys))
        .route("/providers/{provider}/requests", get(requests))
        .route("/providers/{provider}/log", get(log))
        .route("/clock", put(clock))
        .with_state(Arc::new(control))
}

#[derive(Deserialize)]
struct Awaited {
    person: Option<String>,
}

#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Ahead {
    ahead_seconds: u32,
}

async fn show(Shares(control): Shared, Path((provider, person)): Path<(Provider, String)>) -> Json<Value> {
    Json(json!(control.world.change(|state| state.account(provider, &person))))
}

async fn change(
    Shares(control): Shared,
    Path((provider, person)): Path<(Provider, String)>,
    Json(members): Json<Map<String, Value>>,
) -> Response {
    control.world.change(|state| match state.account(provider, &person).changed(&members) {
        Ok(account) => {
            state.put_account(provider, &person, account.clone());
            Json(account).into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
    })
}

/// Apple tells its clients first, while it still knows whom they know.
async fn delete(Shares(control): Shared, Path((provider, person)): Path<(Provider, String)>) -> Response {
    let told = match provider {
        Provider::Apple => tell(&control, &person, "account-delete").await,
        _ => Vec::new(),
    };
    control.world.change(|state| state.delete_account(provider, &person));
    Json(json!({"told": told})).into_response()
}

async fn notify(
    Shares(control): Shared,
    Path(person): Path<String>,
    Json(notification): Json<Notification>,
) -> Response {
    let told = tell(&control, &person, &notification.kind).await;
    if notification.kind == "consent-revoked" {
        control.world.change(|state| state.service(Provider::Apple).forget(&person));
    }
    Json(json!({"told": told})).into_response()
}

/// What each of Apple's clients answers to a notification: its status, or why there was no answer.
async fn tell(control: &Control, person: &str, kind: &str) -> Vec<Value> {
    let posts: Vec<_> = control.world.change(|state| {
        let clients = state.service(Provider::Apple).registrations.clone();
        let told = clients.into_iter().filter_map(|client| Some((client.client_id, client.notifications?)));
        told.map(|(id, url)| (url, apple::notification(state, &id, person, kind))).collect()
    });
    let mut told = Vec::new();
    for (url, body) in posts {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let answer = control.http.post(&url, headers, body.into()).await;
        told.push(match answer {
            Ok(answer) => json!({"url": url, "status": answer.status.as_u16()}),
            Err(error) => json!({"url": url, "error": error.to_string()}),
        });
    }
    told
}

async fn awaits(
    Shares(control): Shared,
    Path(provider): Path<Provider>,
    Json(awaited): Json<Awaited>,
) -> StatusCode {
    control.world.change(|state| state.await_person(provider, awaited.person));
    StatusCode::NO_CONTENT
}

async fn does_wrong(
    Shares(control): Shared,
    Path(provider): Path<Provider>,
    Json(fault): Json<Option<Fault>>,
) -> StatusCode {
    control.world.change(|state| state.service(provider).fault = fault);
    StatusCode::NO_CONTENT
}

async fn rotate_keys(Shares(control): Shared, Path(provider): Path<Provider>) -> StatusCode {
    control.world.change(|state| state.rotate_keys(provider));
    StatusCode::NO_CONTENT
}

async fn requests(Shares(control): Shared, Path(provider): Path<Provider>) -> Json<Value> {
    Json(json!(control.world.change(|state| state.service(provider).asked.clone())))
}

/// The latest requests with where they came from, the oldest first.
async fn log(Shares(control): Shared, Path(provider): Path<Provider>) -> Json<Value> {
    Json(control.world.change(|state| json!(state.service(provider).log().collect::<Vec<_>>())))
}

async fn clock(Shares(control): Shared, Json(ahead): Json<Ahead>) -> StatusCode {
    control.world.change(|state| state.ahead = time::Duration::seconds(ahead.ahead_seconds.into()));
    StatusCode::NO_CONTENT
}
