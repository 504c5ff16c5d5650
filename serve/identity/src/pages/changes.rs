//! What the forms of the account's page do.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use foundation::extract::Path;
use foundation::problem::Problem;
use foundation::write::idempotency::Answer;
use serde::Deserialize;
use uuid::Uuid;

use super::notice::Notice;
use super::signed_out::signed_out;
use super::visitor::{Sent, Visitor};
use crate::accounts::unlink::Unlinked;
use crate::accounts::{grants, unlink};
use crate::session::{self, Ending};
use crate::state::Broker;

/// A form without fields of its own.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

/// Which client's grants are taken back.
#[derive(Debug, Deserialize)]
pub struct Revoked {
    client_id: String,
}

fn done(notice: Notice) -> Answer {
    Answer::see_other(&notice.at("/account"))
}

/// `POST /account/identities/{id}/unlink`
pub async fn unlink(
    State(broker): State<Arc<Broker>>,
    Path(identity): Path<Uuid>,
    Sent { visitor, .. }: Sent<Nothing>,
) -> Result<Response, Problem> {
    if let Some(again) = visitor.ask_again(&broker) {
        return Ok(again);
    }
    let mut unit = visitor.begin(&broker).await?;
    let unlinked = unlink::unlink(&broker, &mut unit, &visitor.session, identity).await;
    let answer = unlinked.map(|unlinked| match unlinked {
        Unlinked::Done => done(Notice::Unlinked),
        Unlinked::Last => done(Notice::Last),
    });
    unit.end(answer).await
}

/// `POST /account/sessions/{id}/end`
pub async fn end_session(
    State(broker): State<Arc<Broker>>,
    Path(session): Path<Uuid>,
    Sent { visitor, .. }: Sent<Nothing>,
) -> Result<Response, Problem> {
    end(&broker, &visitor, Ending { one: Some(session), ..Ending::default() }).await
}

/// `POST /account/sessions/end`: all but this one, with what clients were given for the time when the person is away.
/// Whoever presses it may know that somebody else was in.
pub async fn end_others(
    State(broker): State<Arc<Broker>>,
    Sent { visitor, .. }: Sent<Nothing>,
) -> Result<Response, Problem> {
    let ending = Ending { but: Some(visitor.session.id), and_offline: true, ..Ending::default() };
    end(&broker, &visitor, ending).await
}

/// `POST /account/sign-out`
pub async fn sign_out(
    State(broker): State<Arc<Broker>>,
    Sent { visitor, .. }: Sent<Nothing>,
) -> Result<Response, Problem> {
    end(&broker, &visitor, Ending { one: Some(visitor.session.id), ..Ending::default() }).await?;
    let mut page = signed_out()?;
    page.headers_mut().append(SET_COOKIE, session::clear_cookie());
    Ok(page)
}

async fn end(broker: &Broker, visitor: &Visitor, ending: Ending<'_>) -> Result<Response, Problem> {
    let mut unit = visitor.begin(broker).await?;
    let ended = session::end(&mut unit, Some(&broker.settings), visitor.session.account, ending).await;
    unit.end(ended.map(|_| done(Notice::Ended))).await
}

/// `POST /account/grants/revoke`
pub async fn revoke(
    State(broker): State<Arc<Broker>>,
    Sent { visitor, fields }: Sent<Revoked>,
) -> Result<Response, Problem> {
    let mut unit = visitor.begin(&broker).await?;
    let account = visitor.session.account;
    let revoked = grants::revoke(&mut unit, &broker.settings, account, &fields.client_id).await;
    unit.end(revoked.map(|()| done(Notice::Revoked))).await
}
