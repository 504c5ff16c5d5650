//! The way in for somebody whose login providers are all down: a link that an operator makes on the host, good once and for a
//! quarter of an hour.

use std::fmt;
use std::time::Duration;

use foundation::audit::Event;
use foundation::clock::Randomness;
use foundation::problem::{Problem, codes};
use foundation::write::Unit;
use uuid::Uuid;

use super::letters::tell;
use super::store::Account;
use crate::errands::Letter;
use crate::secret;

/// How long a link is good for.
pub const GOOD_FOR: Duration = Duration::from_secs(900);
/// As which login provider the session says that it began.
pub const PROVIDER: &str = "recovery";

const INSERT: &str =
    "INSERT INTO recoveries (secret_hash, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4)";
const OF: &str = "SELECT account_id FROM recoveries WHERE secret_hash = $1";
const USE: &str = "UPDATE recoveries SET used_at = $2 WHERE secret_hash = $1 AND used_at IS NULL AND expires_at > $2 \
     RETURNING account_id";
const SWEEP: &str = "DELETE FROM recoveries WHERE expires_at < $1";

/// A link, for whoever made it.
pub struct Link {
    /// Whose way in it is.
    pub account: Uuid,
    /// What it has behind `/recover/`.
    pub secret: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Which account an operator may have meant.
#[derive(Debug, thiserror::Error)]
pub enum Unclear {
    /// None.
    #[error("no account has this identifier or address")]
    Nobody,
    /// More than one has the address.
    #[error("{} accounts have this address; name one by its identifier: {}", .0.len(), list(.0))]
    Several(Vec<Uuid>),
}

fn list(accounts: &[Uuid]) -> String {
    accounts.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ")
}

/// The one account that `user` names: by its identifier, or by an address that no other account has.
///
/// # Errors
/// The problem of the database; within it, why no account can be told.
pub async fn find(unit: &Unit, user: &str) -> Result<Result<Account, Unclear>, Problem> {
    let mut found = match Uuid::parse_str(user) {
        Ok(id) => Account::find(&unit.transaction, id).await?.into_iter().collect(),
        Err(_) => Account::at(&unit.transaction, user).await?,
    };
    Ok(match (found.pop(), found.is_empty()) {
        (Some(account), true) => Ok(account),
        (Some(account), false) => {
            Err(Unclear::Several(found.iter().chain([&account]).map(|account| account.id).collect()))
        }
        (None, _) => Err(Unclear::Nobody),
    })
}

/// Makes a link into the account with the write. The person is told that there is one.
pub fn make(unit: &mut Unit, account: &Account, randomness: &dyn Randomness) -> Link {
    let (secret, now) = (secret::new(randomness), unit.now());
    let expires_at = now + GOOD_FOR;
    unit.transaction.later(SWEEP, vec![Box::new(now - GOOD_FOR)]);
    let hash = secret::hash(&secret).to_vec();
    let values =
        vec![Box::new(hash) as _, Box::new(account.id) as _, Box::new(now) as _, Box::new(expires_at) as _];
    unit.transaction.later(INSERT, values);
    unit.audit(Event::new("account.recovery_made", "account").of(account.id));
    tell(unit, account.profile.letterbox(), Letter::RecoveryMade, &[]);
    Link { account: account.id, secret }
}

/// Uses a link up: the account that it leads into.
///
/// # Errors
/// A problem `not-found` where it leads nowhere, whatever the reason; and the problem of the database.
pub async fn redeem(unit: &mut Unit, secret: &str) -> Result<Uuid, Problem> {
    let nothing = || Problem::new(&codes::NOT_FOUND);
    let (hash, now) = (secret::hash(secret).to_vec(), unit.now());
    let rows = unit.transaction.query(OF, &[&hash]).await?;
    let id: Uuid = rows.first().map(|row| row.get("account_id")).ok_or_else(nothing)?;
    // The account first, as whoever ends its links does.
    let account = Account::alone(&unit.transaction, id).await?.ok_or_else(nothing)?;
    if unit.transaction.query(USE, &[&hash, &now]).await?.is_empty() {
        return Err(nothing());
    }
    unit.go_on_as(id, None).await?;
    unit.audit(Event::new("account.recovery_used", "account").of(id));
    tell(unit, account.profile.letterbox(), Letter::RecoveryUsed, &[]);
    Ok(id)
}
