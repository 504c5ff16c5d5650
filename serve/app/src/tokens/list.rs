//! `GET /api/v1/tokens`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use foundation::auth::actor::Actor;
use foundation::extract::Query;
use foundation::openapi::Rules;
use foundation::page::list::List;
use foundation::page::{Page, PageRequest};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{READ, Token, columns};
use crate::state::App;

const SELECT: &str = concat!("SELECT ", columns!(), " FROM tokens");

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
/// Also those that have expired or were revoked, until 30 days after that. The oldest come first.
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
    let rows = List::of(SELECT, organization)
        .with_some("agent_id = $", filter.agent_id)
        .with_some("(agent_id = ANY ($) OR id = ANY ($))", actor.restriction())
        .read(&app.stores.database, &context.request_id, &page)
        .await?;
    let tokens = rows.iter().map(Token::read).collect();
    Ok(Page::new(tokens, &page, Token::position, &app.cursors, &list))
}
