//! The one resource of the skeleton: a ping is written to every store, and read back from every store.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use foundation::database::{Database, DatabaseError};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::valkey::{Valkey, ValkeyError};

use crate::state::App;

/// Pings prove a path; nobody needs an old one, and the durable instance evicts nothing by itself.
const DURABLE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
const CACHE_LIFETIME: Duration = Duration::from_secs(5 * 60);

const INSERT: &str = "INSERT INTO pings (id) VALUES ($1) RETURNING to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
const FIND: &str = "SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM pings WHERE id = $1";

/// A ping and where it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ping {
    /// Names it.
    id: Uuid,
    /// When it was written, in UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// Whether PostgreSQL has it.
    database: bool,
    /// Whether the durable Valkey has it.
    durable: bool,
    /// Whether the cache has it.
    cache: bool,
}

/// Writes a ping
///
/// A row in PostgreSQL through PgBouncer, and a key in each Valkey.
#[utoipa::path(
    post, path = "/api/v1/pings", tag = "pings", operation_id = "createPing",
    responses((status = CREATED, body = Ping)),
    extensions(("x-rules" = json!(Rules::public().unlimited())))
)]
pub async fn create(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let id = Uuid::now_v7();
    let created_at = insert(&app.stores.database, id).await?;
    tokio::try_join!(
        remember(&app.stores.durable, id, DURABLE_LIFETIME),
        remember(&app.stores.cache, id, CACHE_LIFETIME),
    )?;
    let ping = Ping { id, created_at, database: true, durable: true, cache: true };
    Ok((StatusCode::CREATED, [(LOCATION, format!("/api/v1/pings/{id}"))], Json(ping)).into_response())
}

/// Shows where a ping still is
///
/// The Valkeys forget it after a while; PostgreSQL does not.
#[utoipa::path(
    get, path = "/api/v1/pings/{id}", tag = "pings", operation_id = "showPing",
    params(("id" = Uuid, Path, description = "The ping's id.")),
    responses((status = OK, body = Ping)),
    extensions(("x-rules" = json!(Rules::public().unlimited())))
)]
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let absent = || Problem::new(&codes::NOT_FOUND).detail("There is no ping with this id.");
    let id = Uuid::try_parse(&id).map_err(|_| absent())?;
    let created_at = find(&app.stores.database, id).await?.ok_or_else(absent)?;
    let (durable, cache) = tokio::try_join!(knows(&app.stores.durable, id), knows(&app.stores.cache, id))?;
    Ok(Json(Ping { id, created_at, database: true, durable, cache }).into_response())
}

/// Writes a ping and returns when it was written, RFC 3339 in UTC.
async fn insert(database: &Database, id: Uuid) -> Result<String, DatabaseError> {
    database
        .ask(async |client| {
            let statement = client.prepare_cached(INSERT).await?;
            Ok(client.query_one(&statement, &[&id]).await?.get(0))
        })
        .await
}

/// When the ping was written, RFC 3339 in UTC, or nothing if there is no such ping.
async fn find(database: &Database, id: Uuid) -> Result<Option<String>, DatabaseError> {
    database
        .ask(async |client| {
            let statement = client.prepare_cached(FIND).await?;
            Ok(client.query_opt(&statement, &[&id]).await?.map(|row| row.get(0)))
        })
        .await
}

async fn remember(valkey: &Valkey, id: Uuid, lifetime: Duration) -> Result<(), ValkeyError> {
    valkey.ask(redis::cmd("SET").arg(key(id)).arg(1).arg("EX").arg(lifetime.as_secs())).await
}

async fn knows(valkey: &Valkey, id: Uuid) -> Result<bool, ValkeyError> {
    valkey.ask(redis::cmd("EXISTS").arg(key(id))).await
}

/// Both instances allow this user only keys that start with `app:`.
fn key(id: Uuid) -> String {
    format!("app:ping:{id}")
}
