//! `GET /api/v1/audit-exports`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use foundation::audit::export::{Format, export as file};
use foundation::audit::search::{Filter, View};
use foundation::audit::{Event, Origin};
use foundation::auth::actor::Actor;
use foundation::extract::Queries;
use foundation::openapi::Rules;
use foundation::problem::Problem;
use foundation::request::RequestContext;
use serde::Deserialize;
use utoipa::IntoParams;

use super::READ;
use crate::state::App;

/// What kind of file.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// `csv` is RFC 4180 with a line of names; a value that a spreadsheet would take for a formula begins with an
    /// apostrophe. `ndjson` has an event a line, as a search answers with it.
    #[param(inline)]
    pub format: Format,
}

/// Exports the audit log
///
/// The file has the events for which the filter holds, up to now, the oldest first. It is sent while it is read: one that
/// breaks off has no proper end. That it was exported, and by which filter, is an event of the log itself.
#[utoipa::path(
    get, path = "/api/v1/audit-exports", tag = "audit", operation_id = "exportAuditEvents", params(Wanted, Filter),
    responses((
        status = OK, description = "The file.",
        headers(("Content-Disposition" = String, description = "That it is a file, and its name.")),
        content(
            (String = "text/csv", example = "id,occurred_at,actor_kind,actor_id,token_id,address,user_agent,request_id,\
                action,resource_kind,resource_id,result,changes\r\n"),
            (String = "application/x-ndjson", example = "{\"id\":\"01936b2e-7c1a-7d53-9a53-5a6f0c2b9e11\"}\n")
        )
    )),
    extensions(("x-rules" = json!(Rules::scope(&READ))))
)]
pub async fn export(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    Queries(wanted, filter): Queries<Wanted, Filter>,
) -> Result<Response, Problem> {
    actor.require(&READ)?;
    let view = View::of(&app.stores.database, &actor, &context)?;
    let event = Event::new("audit.export", "audit").changed("format", (), wanted.format.as_str()).changed(
        "filter",
        (),
        filter.document(),
    );
    // First: nobody gets the log without leaving a trace in it.
    let now = app.writes.record(&Origin::of(Some(&actor), &context), event).await?;
    let until = filter.to.map_or(now, |to| to.min(now));
    let name = format!("audit-{}.{}", now.unix_timestamp(), wanted.format.as_str());
    Ok(file(view, Filter { to: Some(until), ..filter }, wanted.format, &name))
}
