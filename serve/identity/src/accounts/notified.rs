//! What follows when a login provider tells something of one of its people (Apple).

use foundation::audit::{Event, Origin};
use foundation::problem::Problem;
use foundation::request::RequestContext;
use foundation::write::Unit;
use foundation::write::idempotency::Answer;

use axum::http::StatusCode;

use super::Notification;
use super::delete;
use super::join::is_vouched_by;
use super::store::{self, Account, Identity};
use super::told;
use super::unlink;
use crate::session::{self, Ending};
use crate::state::Broker;

/// Does what follows from a login provider's notification, which was verified and is new. Of somebody who is not known
/// nothing follows.
///
/// # Errors
/// The problem of the database.
pub async fn notified(
    broker: &Broker,
    context: &RequestContext,
    provider: &str,
    subject: &str,
    notification: Notification,
) -> Result<(), Problem> {
    let origin = Origin::of_system(None, context.request_id.to_string());
    let mut unit = broker.writes.begin_without_key(&origin).await?;
    let Some(identity) = Identity::alone(&unit.transaction, provider, subject).await? else {
        tracing::info!(provider, ?notification, "a login provider tells of somebody who is not known here");
        // Who came and never said whether there is an account may have left a name.
        if matches!(notification, Notification::ConsentRevoked | Notification::AccountDeleted) {
            told::forget_later(&mut unit, provider, subject);
            return unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.map(drop);
        }
        return Ok(());
    };
    let Some(account) = Account::alone(&unit.transaction, identity.account).await? else { return Ok(()) };
    match notification {
        Notification::ConsentRevoked => revoke(broker, &mut unit, &account, &identity).await?,
        Notification::AccountDeleted => remove(broker, &mut unit, &account, &identity).await?,
        Notification::EmailDisabled => relay(&mut unit, &account, &identity, false).await?,
        Notification::EmailEnabled => relay(&mut unit, &account, &identity, true).await?,
    }
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.map(drop)
}

/// The identity's tokens and what began with it end; the person may come with it again.
async fn revoke(
    broker: &Broker,
    unit: &mut Unit,
    account: &Account,
    identity: &Identity,
) -> Result<(), Problem> {
    unit.audit(Event::new("identity.consent_revoked", "identity").of(identity.id));
    store::forget_tokens(unit, identity.id);
    let ending = Ending { begun_with: Some(&identity.provider), and_offline: true, ..Ending::default() };
    session::end(unit, Some(&broker.settings), account.id, ending).await.map(drop)
}

/// The identity is nobody's any more; nor is the account, where it was entered with nothing else.
async fn remove(
    broker: &Broker,
    unit: &mut Unit,
    account: &Account,
    identity: &Identity,
) -> Result<(), Problem> {
    let all = Identity::of(&unit.transaction, account.id).await?;
    if all.len() > 1 {
        unlink::remove(broker, unit, account, identity, &all, None).await
    } else {
        delete::remove(broker, unit, account).await
    }
}

/// Mail to the relay address arrives, or does not.
async fn relay(
    unit: &mut Unit,
    account: &Account,
    identity: &Identity,
    arrives: bool,
) -> Result<(), Problem> {
    if !identity.email_relay {
        return Ok(());
    }
    unit.audit(Event::new("identity.relay", "identity").of(identity.id).changed(
        "arrives",
        identity.email_vouched,
        arrives,
    ));
    store::vouch(unit, identity.id, arrives);
    let own = account.profile.email.as_deref().unwrap_or_default();
    if identity.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(own)) {
        let all = Identity::of(&unit.transaction, account.id).await?;
        let mut profile = account.profile.clone();
        profile.email_vouched = arrives || is_vouched_by(&all, Some(identity.id), own);
        store::update_account(unit, account.id, &profile);
    }
    Ok(())
}
