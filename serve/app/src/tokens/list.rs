//! `GET /api/v1/tokens`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::extract::Query;
use foundation::openapi::Rules;
use foundation::page::{Page, PageRequest};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::write::transaction::Transaction;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{READ, Token, columns};
use crate::state::App;

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tokens WHERE organization_id = $1 AND ($2::uuid IS NULL OR agent_id = $2) \
     AND ($3::uuid[] IS NULL OR agent_id = ANY ($3) OR id = ANY ($3)) \
     AND ($4::timestamptz IS NULL OR (created_at, id) > ($4, $5)) ORDER BY created_at, id LIMIT $6"
);

/// Which tokens.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those of this agent.
    pub agent_id: Option<Uuid>,
    pub limit: Option<String>,
    pub cursor: Option<String>,
}

/// Lists tokens
///
/// Also those that have expired or were revoked. The oldest come first.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", operation_id = "listTokens", params(Filter),
    responses((status = OK, description = "A page of tokens, without their secrets.", body = Page<Token>)),
    extensions(("x-rules" = json!(Rules::scope(&READ).paged())))
)]
pub async fn list(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    uri: Uri,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    Ok(find(&app, &actor, &context, &filter).await?.answer(&uri))
}

/// The page of tokens.
///
/// # Errors
/// A problem `insufficient-scope`, `bad-limit` or `bad-cursor`, or one of the database.
pub async fn find(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    filter: &Filter,
) -> Result<Page<Token>, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    let list = format!("tokens {organization} {:?}", filter.agent_id);
    let page = PageRequest::read(filter.limit.as_deref(), filter.cursor.as_deref(), &app.cursors, &list)?;
    let (at, id) = page.after().map(|after| (after.at, after.id)).unzip();
    let rows = Transaction::read(
        &app.stores.database,
        Some(organization),
        &context.request_id,
        LIST,
        &[&organization, &filter.agent_id, &actor.restriction(), &at, &id, &page.rows_to_fetch()],
    )
    .await?;
    let tokens = rows.iter().map(Token::read).collect();
    Ok(Page::new(tokens, &page, Token::position, &app.cursors, &list))
}
