//! An account is deleted, with everything that belongs to it. The audit log goes on saying that there was one, by its
//! identifier alone.

use foundation::audit::Event;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;
use uuid::Uuid;

use super::letters::tell;
use super::store::{self, Account};
use crate::errands::Letter;
use crate::session::{self, Ending};
use crate::state::Broker;

/// Deletes the account of a session, whose person has proven recently who it is, and said so in words.
///
/// # Errors
/// A problem `not-found` where it is gone already, and the problem of the database.
pub async fn delete(broker: &Broker, unit: &mut Unit, account: Uuid) -> Result<(), Problem> {
    let account = Account::alone(&unit.transaction, account).await?;
    let account = account.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    remove(broker, unit, &account).await
}

/// Removes the account: clients are told that its sessions have ended, and the person that it is gone.
///
/// # Errors
/// The problem of the database.
pub async fn remove(broker: &Broker, unit: &mut Unit, account: &Account) -> Result<(), Problem> {
    unit.audit(Event::new("account.delete", "account").of(account.id));
    let ending = Ending { and_offline: true, ..Ending::default() };
    session::end(unit, Some(&broker.settings), account.id, ending).await?;
    tell(unit, account.profile.letterbox(), Letter::AccountDeleted, &[]);
    store::delete_account(unit, account.id);
    Ok(())
}
