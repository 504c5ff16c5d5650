//! The one resource of the skeleton: a ping is written to every store, and read back from every store.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

use crate::database::DatabaseError;
use crate::problem::Problem;
use crate::routes::App;
use crate::valkey::ValkeyError;

/// Pings prove a path; nobody needs an old one, and the durable instance evicts nothing by itself.
const DURABLE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
const CACHE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A ping and where it is.
#[derive(Debug, Serialize)]
struct Ping {
    id: Uuid,
    created_at: String,
    database: bool,
    durable: bool,
    cache: bool,
}

/// `POST /api/v1/pings`: a row in PostgreSQL through PgBouncer, and a key in each Valkey.
pub async fn create(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let id = Uuid::now_v7();
    let created_at = app.stores.database.insert_ping(id).await?;
    tokio::try_join!(
        app.stores.durable.remember_ping(id, DURABLE_LIFETIME),
        app.stores.cache.remember_ping(id, CACHE_LIFETIME),
    )?;
    let ping = Ping { id, created_at, database: true, durable: true, cache: true };
    Ok((StatusCode::CREATED, [(LOCATION, format!("/api/v1/pings/{id}"))], Json(ping)).into_response())
}

/// `GET /api/v1/pings/{id}`: where the ping still is. The Valkeys forget it after a while; PostgreSQL does not.
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let absent = || Problem::new(StatusCode::NOT_FOUND, "There is no ping with this id.");
    let id = Uuid::try_parse(&id).map_err(|_| absent())?;
    let created_at = app.stores.database.find_ping(id).await?.ok_or_else(absent)?;
    let (durable, cache) =
        tokio::try_join!(app.stores.durable.knows_ping(id), app.stores.cache.knows_ping(id))?;
    Ok(Json(Ping { id, created_at, database: true, durable, cache }).into_response())
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        tracing::error!(%error, store = "database", "a request failed");
        if error.passes() {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "The database does not answer. Try again in a moment.")
        } else {
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The server made a mistake. Its log has the reason.")
        }
    }
}

impl From<ValkeyError> for Problem {
    fn from(error: ValkeyError) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "A key-value store does not answer. Try again in a moment.",
        )
    }
}
