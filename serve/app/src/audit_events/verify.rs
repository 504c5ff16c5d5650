//! `GET /api/v1/audit-chain`

use std::sync::Arc;

use axum::extract::State as Shared;
use foundation::audit::chain::Head;
use foundation::audit::verify::{Extent, Verification, verify as recompute};
use foundation::auth::actor::Actor;
use foundation::extract::{Json, Query};
use foundation::openapi::Rules;
use foundation::problem::{Place, Problem, codes};
use foundation::request::RequestContext;
use serde::Deserialize;
use utoipa::IntoParams;

use super::READ;
use crate::state::App;

/// Reads of the database for one answer, each of a page of batches or events.
const READS: u32 = 200;

/// How far, and against what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// The number of a head that was kept elsewhere; its `hash` goes with it. The chain must have it.
    #[param(minimum = 1, example = 1207)]
    number: Option<i64>,
    /// The hash of a head that was kept elsewhere.
    #[param(pattern = "^[0-9A-Fa-f]{64}$")]
    hash: Option<String>,
    /// The number of the head at which the answer before ended; its `after_hash` goes with it.
    #[param(minimum = 1)]
    after_number: Option<i64>,
    /// The hash of the head at which the answer before ended.
    #[param(pattern = "^[0-9A-Fa-f]{64}$")]
    after_hash: Option<String>,
}

impl Wanted {
    /// The head against which to verify, as it was named.
    pub fn known(&self) -> Option<(i64, &str)> {
        self.number.zip(self.hash.as_deref())
    }
}

/// Verifies the audit log
///
/// Every event and every batch is hashed again, and compared with the chain. Where the chain is too long for one answer
/// the answer is not `complete`: ask again with its `head` as `after_number` and `after_hash`. Keep the last `head`
/// somewhere else now and then, and give it as `number` and `hash`: that shows whether somebody who could write every
/// table has written the end of the chain anew.
#[utoipa::path(
    get, path = "/api/v1/audit-chain", tag = "audit", operation_id = "verifyAuditChain", params(Wanted),
    responses((status = OK, body = Verification)),
    extensions(("x-rules" = json!(Rules::scope(&READ).problem(&codes::NOT_FOUND))))
)]
pub async fn verify(
    Shared(app): Shared<Arc<App>>,
    actor: Actor,
    context: RequestContext,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Verification>, Problem> {
    run(&app, &actor, &context, wanted).await.map(Json)
}

/// What a verification finds.
///
/// # Errors
/// A problem `insufficient-scope`, `not-found` or `query-invalid`, or one of the database.
pub async fn run(
    app: &App,
    actor: &Actor,
    context: &RequestContext,
    wanted: Wanted,
) -> Result<Verification, Problem> {
    actor.require(&READ)?;
    let organization = actor.organization_or_refuse()?;
    if !actor.may_touch(&[organization]) {
        return Err(Problem::new(&codes::NOT_FOUND).detail(
            "The chain is the whole organization's, and the token is restricted to some of its resources.",
        ));
    }
    let known = head(wanted.number, wanted.hash, ("/number", "/hash"))?;
    let after = head(wanted.after_number, wanted.after_hash, ("/after_number", "/after_hash"))?;
    let extent = Extent { known: known.as_ref(), after: after.as_ref(), reads: Some(READS) };
    Ok(recompute(&app.stores.database, organization, &context.request_id, extent).await?)
}

/// The head that two parameters name; none where neither is given.
fn head(
    number: Option<i64>,
    hash: Option<String>,
    (number_at, hash_at): (&str, &str),
) -> Result<Option<Head>, Problem> {
    let wrong = |pointer: &str, code, detail: &str| {
        Err(Problem::new(&codes::QUERY_INVALID).error_in(Place::Query, pointer, code, detail))
    };
    match (number, hash) {
        (None, None) => Ok(None),
        (Some(_), None) => wrong(hash_at, "missing-field", "A number and a hash go together."),
        (None, Some(_)) => wrong(number_at, "missing-field", "A number and a hash go together."),
        (Some(..=0), _) => wrong(number_at, "invalid-value", "Batches are numbered from 1."),
        (Some(_), Some(hash)) if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            wrong(hash_at, "invalid-value", "A hash has 64 hexadecimal digits.")
        }
        (Some(number), Some(hash)) => Ok(Some(Head { number, hash })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(number: Option<i64>, hash: Option<&str>) -> Option<String> {
        let problem = head(number, hash.map(str::to_owned), ("/n", "/h")).err()?;
        Some(problem.errors()[0].pointer.clone())
    }

    #[test]
    fn a_head_is_whole_or_absent() {
        let hash = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";
        assert_eq!(head(None, None, ("/n", "/h")).unwrap(), None);
        assert_eq!(pointer(Some(1), Some(hash)), None);
        assert_eq!(pointer(Some(1), None).as_deref(), Some("/h"));
        assert_eq!(pointer(None, Some(hash)).as_deref(), Some("/n"));
        assert_eq!(pointer(Some(0), Some(hash)).as_deref(), Some("/n"));
        for bad in ["", &hash[1..], &hash.replace('9', "g"), &"é".repeat(32)] {
            assert_eq!(pointer(Some(1), Some(bad)).as_deref(), Some("/h"), "{bad}");
        }
    }
}
