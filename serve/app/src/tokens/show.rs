//! `GET /api/v1/tokens/{id}`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use foundation::auth::actor::Actor;
use foundation::extract::{Json, Path};
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use uuid::Uuid;

use super::{FIND, READ, Token};
use crate::state::App;

/// Shows a token
///
/// Without its secret, which was shown once.
#[utoipa::path(
    get, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "showToken",
    params(("id" = Uuid, Path, description = "The token's id.")),
    responses((status = OK, body = Token)),
    extensions(("x-rules" = json!(Rules::scope(&READ))))
)]
pub async fn show(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    Ok(Json(find(&app, &actor, &context, id).await?).into_response())
}

/// The token, if the actor may see it.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn find(app: &App, actor: &Actor, context: &RequestContext, id: Uuid) -> Result<Token, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let (database, name) = (&app.stores.database, &context.request_id);
    let rows = Transaction::read(database, Some(organization), name, FIND, &[&organization, &id]).await?;
    let token = rows.first().map(Token::read);
    token
        .filter(|token| actor.may_touch(&[token.agent_id, token.id]))
        .ok_or_else(|| Problem::new(&codes::NOT_FOUND).detail("There is no such token."))
}
