//! An identity leaves its account: never the last one, for nobody could come in any more.

use foundation::audit::Event;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;
use uuid::Uuid;

use super::letters::tell;
use super::store::{self, Account, Identity};
use crate::errands::Letter;
use crate::session::{self, BrowserSession, Ending};
use crate::state::Broker;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlinked {
    /// It is gone.
    Done,
    /// It is the last one, and stays.
    Last,
}

/// Takes an identity from the account of the session, whose person has proven recently who it is.
///
/// # Errors
/// A problem `not-found` where it is none of the account's, and the problem of the database.
pub async fn unlink(
    broker: &Broker,
    unit: &mut Unit,
    session: &BrowserSession,
    identity: Uuid,
) -> Result<Unlinked, Problem> {
    let nothing = || Problem::new(&codes::NOT_FOUND);
    let account = Account::alone(&unit.transaction, session.account).await?.ok_or_else(nothing)?;
    let all = Identity::of(&unit.transaction, account.id).await?;
    let found = all.iter().find(|one| one.id == identity).ok_or_else(nothing)?;
    if all.len() == 1 {
        return Ok(Unlinked::Last);
    }
    remove(broker, unit, &account, found, &all, Some(session.id)).await?;
    Ok(Unlinked::Done)
}

/// Removes one of several identities: whoever came in with it has to come in anew, except in the session `but`.
///
/// # Errors
/// The problem of the database.
pub async fn remove(
    broker: &Broker,
    unit: &mut Unit,
    account: &Account,
    identity: &Identity,
    all: &[Identity],
    but: Option<Uuid>,
) -> Result<(), Problem> {
    unit.audit(Event::new("identity.unlink", "identity").of(identity.id).changed(
        "provider",
        identity.provider.as_str(),
        (),
    ));
    store::delete_identity(unit, identity.id).await?;
    let ending = Ending { but, begun_with: Some(&identity.provider), and_offline: true, ..Ending::default() };
    session::end(unit, Some(&broker.settings), account.id, ending).await?;
    let rest: Vec<_> = all.iter().filter(|one| one.id != identity.id).map(|one| one.said(false)).collect();
    let profile = account.profile.without(&rest);
    store::update_account(unit, account.id, &profile);
    let told = account.profile.letterbox().into_iter().chain(profile.letterbox());
    tell(unit, told, Letter::IdentityLeft, &[("provider", broker.label(&identity.provider))]);
    Ok(())
}
