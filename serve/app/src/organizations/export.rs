//! `GET /api/v1/organizations/{id}/export`

mod sections;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::response::Response;
use foundation::audit::{Event, Origin};
use foundation::auth::actor::Actor;
use foundation::auth::scope::Scope;
use foundation::database::{Database, DatabaseError};
use foundation::download;
use foundation::extract::Path;
use foundation::openapi::Rules;
use foundation::problem::{Problem, codes};
use foundation::request::RequestContext;
use foundation::write::idempotency::Answer;
use foundation::write::transaction::Transaction;
use foundation::write::{Ask, Begun};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{READ, current, within};
use crate::state::App;
use crate::{agents, audit_events, members, projects, tasks, tokens, webhooks};
use sections::SECTIONS;

/// Rows of a part of the answer: texts can be long, and several people may export at once.
const ROWS: i64 = 100;
/// What is exported has been read, so that whoever asks has to be allowed to read each part of it.
pub const NEEDED: [Scope; 8] = [
    READ,
    members::READ,
    agents::READ,
    tokens::READ,
    projects::READ,
    tasks::READ,
    webhooks::READ,
    audit_events::READ,
];

/// A line of an export: an object with its kind, and beside that what it is made of.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedLine {
    /// `organization`, `member`, `invitation`, `agent`, `token`, `project`, `task`, `webhook_endpoint`,
    /// `webhook_message`, `webhook_delivery`, `webhook_attempt`, `audit_event`, `audit_batch`, and `end` on the last line.
    #[schema(example = "end")]
    pub kind: &'static str,
    /// On the last line, how many came before it: by that a whole export is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false, example = 4711)]
    pub lines: Option<u64>,
}

/// Exports an organization
///
/// Everything that belongs to it, an object a line: itself, members, invitations, agents, tokens, projects and tasks also
/// where they are deleted and can be restored, webhooks with what was delivered, and the audit log with the hashes of its
/// chain. Secrets and their hashes are not in it. What is changed meanwhile may be in it or not. It needs all the scopes
/// that reading the parts needs, which administrators have, and a token that is not restricted to certain resources. That
/// it was exported is in the audit log.
#[utoipa::path(
    get, path = "/api/v1/organizations/{id}/export", tag = "organizations", operation_id = "exportOrganization",
    params(("id" = Uuid, Path, description = "The organization's id.")),
    responses((
        status = OK, description = "Lines of JSON, of which the last one says that it is the last.",
        content_type = "application/x-ndjson", body = ExportedLine
    )),
    extensions(("x-rules" = json!(rules())))
)]
pub async fn export(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    begin(&app, &actor, &context, id).await?;
    let progress =
        Progress { organization: id, request_id: context.request_id, section: 0, after: None, lines: 0 };
    let database = app.stores.database.clone();
    let name = format!("organization-{id}.ndjson");
    Ok(download::response(download::NDJSON, &name, progress, move |progress| {
        part(database.clone(), progress)
    }))
}

fn rules() -> Rules {
    NEEDED.iter().skip(1).fold(Rules::scope(&READ), |rules, scope| rules.and_scope(scope))
}

/// Whether the actor may, and that they did: in the audit log before the first line is sent.
///
/// # Errors
/// A problem `insufficient-scope` or `not-found`, or one of the database.
pub async fn begin(app: &App, actor: &Actor, context: &RequestContext, id: Uuid) -> Result<(), Problem> {
    NEEDED.iter().try_for_each(|scope| actor.require(scope))?;
    current(actor, id)?;
    if actor.restriction().is_some() {
        return Err(Problem::new(&codes::INSUFFICIENT_SCOPE)
            .with("scope", READ.to_string())
            .detail("The token is restricted to certain resources, and an export is of all."));
    }
    let origin = Origin::of(Some(actor), context);
    let ask =
        Ask { origin: &origin, route: "export", payload: b"", works_in: actor.organization(), key: None };
    let Begun::New(mut unit) = app.writes.begin(ask).await? else {
        return Err(Problem::new(&codes::INTERNAL));
    };
    let there = within(&unit).await;
    unit.audit(Event::new("organization.export", "organization").of(id));
    let outcome = there.map(|_| Answer::empty(axum::http::StatusCode::OK));
    unit.end(outcome).await.map(drop)
}

/// How far an export has come.
struct Progress {
    organization: Uuid,
    request_id: Arc<str>,
    section: usize,
    /// The last row of the section so far.
    after: Option<Vec<String>>,
    lines: u64,
}

/// The next rows of the export; after the last section, the line that says so.
async fn part(
    database: Database,
    mut progress: Progress,
) -> Result<Option<(Bytes, Progress)>, DatabaseError> {
    let mut text = String::new();
    while let Some(section) = SECTIONS.get(progress.section) {
        let after = progress.after.take().unwrap_or_else(|| section.beginning());
        let (organization, name) = (progress.organization, &progress.request_id);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&organization, &after, &ROWS];
        let rows = Transaction::read(&database, Some(organization), name, section.sql, &values).await?;
        for row in &rows {
            text.push_str(row.try_get("line")?);
            text.push('\n');
            progress.lines += 1;
        }
        match rows.last() {
            Some(last) if rows.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX) => {
                progress.after = Some(last.try_get("key")?);
            }
            _ => progress.section += 1,
        }
        if !text.is_empty() {
            return Ok(Some((text.into(), progress)));
        }
    }
    if progress.section > SECTIONS.len() {
        return Ok(None);
    }
    progress.section += 1;
    let end = ExportedLine { kind: "end", lines: Some(progress.lines) };
    let end = serde_json::to_string(&end).unwrap_or_default();
    Ok(Some((format!("{end}\n").into(), progress)))
}
