//! Accounts and identities as they are kept.

use foundation::database::DatabaseError;
use foundation::write::Unit;
use foundation::write::transaction::{Parameter, Transaction};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::linking::Holder;
use super::profile::{Profile, Said};
use crate::upstream::Verified;

macro_rules! account {
    () => {
        "SELECT id, email, email_vouched, given_name, family_name, picture, created_at FROM accounts "
    };
}

macro_rules! identity {
    () => {
        "SELECT id, account_id, provider, email, email_vouched, email_relay, given_name, family_name, created_at, \
         last_used_at FROM identities "
    };
}

const ACCOUNT: &str = concat!(account!(), "WHERE id = $1");
const ACCOUNT_ALONE: &str = concat!(account!(), "WHERE id = $1 FOR UPDATE");
const ACCOUNTS_AT: &str = concat!(account!(), "WHERE lower(email) = lower($1) ORDER BY id");
const IDENTITY: &str = concat!(identity!(), "WHERE provider = $1 AND subject = $2");
const IDENTITIES: &str = concat!(identity!(), "WHERE account_id = $1 ORDER BY created_at, id");
const HOLDERS: &str = "SELECT a.id, a.email_vouched, \
     EXISTS (SELECT FROM identities i WHERE i.account_id = a.id AND i.provider = $2) AS has_one_here \
     FROM accounts a WHERE lower(a.email) = lower($1) ORDER BY a.email_vouched DESC, a.id LIMIT 10";
const INSERT_ACCOUNT: &str = "INSERT INTO accounts \
     (id, email, email_vouched, given_name, family_name, picture, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $7)";
const UPDATE_ACCOUNT: &str = "UPDATE accounts SET email = $2, email_vouched = $3, given_name = $4, family_name = $5, \
     picture = $6, updated_at = $7 WHERE id = $1";
const INSERT_IDENTITY: &str = "INSERT INTO identities (id, account_id, provider, subject, email, email_vouched, \
     email_relay, given_name, family_name, created_at, last_used_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)";
// A name is said once, and an address that is not said any more is only not vouched for.
const UPDATE_IDENTITY: &str = "UPDATE identities SET email = coalesce($2, email), email_vouched = $3, email_relay = $4, \
     given_name = coalesce($5, given_name), family_name = coalesce($6, family_name), last_used_at = $7 WHERE id = $1";
const VOUCH: &str = "UPDATE identities SET email_vouched = $2 WHERE id = $1";
const FORGET_TOKENS: &str = "DELETE FROM upstream_grants WHERE identity_id = $1";
const DELETE_IDENTITY: &str = "DELETE FROM identities WHERE id = $1";
const DELETE_ACCOUNT: &str = "DELETE FROM accounts WHERE id = $1";

/// Somebody whom the issuer knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What ID tokens call `sub`.
    pub id: Uuid,
    /// What is known of the person.
    pub profile: Profile,
    /// When the person came first.
    pub created_at: OffsetDateTime,
}

/// A person at a login provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// By which it is shown and unlinked.
    pub id: Uuid,
    /// Whose.
    pub account: Uuid,
    /// At which login provider.
    pub provider: String,
    /// The address there.
    pub email: Option<String>,
    /// Whether the login provider vouches for it.
    pub email_vouched: bool,
    /// Whether it is a relay.
    pub email_relay: bool,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// When it joined.
    pub created_at: OffsetDateTime,
    /// When the person came with it last.
    pub last_used_at: OffsetDateTime,
}

impl Account {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            profile: Profile {
                email: row.get("email"),
                email_vouched: row.get("email_vouched"),
                given_name: row.get("given_name"),
                family_name: row.get("family_name"),
                picture: row.get("picture"),
            },
            created_at: row.get("created_at"),
        }
    }

    /// The account, which nobody else changes until the transaction ends.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn alone(transaction: &Transaction, id: Uuid) -> Result<Option<Self>, DatabaseError> {
        Ok(transaction.query(ACCOUNT_ALONE, &[&id]).await?.first().map(Self::read))
    }

    /// The account as it is.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn find(transaction: &Transaction, id: Uuid) -> Result<Option<Self>, DatabaseError> {
        Ok(transaction.query(ACCOUNT, &[&id]).await?.first().map(Self::read))
    }

    /// The accounts with this address.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn at(transaction: &Transaction, address: &str) -> Result<Vec<Self>, DatabaseError> {
        Ok(transaction.query(ACCOUNTS_AT, &[&address]).await?.iter().map(Self::read).collect())
    }
}

impl Identity {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            account: row.get("account_id"),
            provider: row.get("provider"),
            email: row.get("email"),
            email_vouched: row.get("email_vouched"),
            email_relay: row.get("email_relay"),
            given_name: row.get("given_name"),
            family_name: row.get("family_name"),
            created_at: row.get("created_at"),
            last_used_at: row.get("last_used_at"),
        }
    }

    /// The identity of this subject, which nobody else makes or changes until the transaction ends.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn alone(
        transaction: &Transaction,
        provider: &str,
        subject: &str,
    ) -> Result<Option<Self>, DatabaseError> {
        transaction.alone(&format!("identity {provider} {subject}"), Uuid::nil()).await?;
        Ok(transaction.query(IDENTITY, &[&provider, &subject]).await?.first().map(Self::read))
    }

    /// The identities of an account, the first one first.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn of(transaction: &Transaction, account: Uuid) -> Result<Vec<Self>, DatabaseError> {
        Ok(transaction.query(IDENTITIES, &[&account]).await?.iter().map(Self::read).collect())
    }

    /// What it has said of its person so far.
    #[must_use]
    pub fn said(&self, is_first: bool) -> Said {
        Said {
            email: self.email.clone(),
            email_vouched: self.email_vouched,
            given_name: self.given_name.clone(),
            family_name: self.family_name.clone(),
            is_first,
        }
    }
}

/// The accounts with this address, which nobody else takes until the transaction ends.
///
/// # Errors
/// [`DatabaseError`].
pub async fn holders(
    transaction: &Transaction,
    address: &str,
    provider: &str,
) -> Result<Vec<Holder>, DatabaseError> {
    transaction.alone(&format!("address {}", address.to_lowercase()), Uuid::nil()).await?;
    let rows = transaction.query(HOLDERS, &[&address, &provider]).await?;
    let holder = |row: &Row| Holder {
        account: row.get("id"),
        is_vouched: row.get("email_vouched"),
        has_one_here: row.get("has_one_here"),
    };
    Ok(rows.iter().map(holder).collect())
}

/// Writes a new account, now: others refer to it.
///
/// # Errors
/// [`DatabaseError`].
pub async fn insert_account(unit: &Unit, id: Uuid, profile: &Profile) -> Result<(), DatabaseError> {
    let Profile { email, email_vouched, given_name, family_name, picture } = profile;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&id, email, email_vouched, given_name, family_name, picture, &unit.now()];
    unit.transaction.query(INSERT_ACCOUNT, &values).await.map(drop)
}

/// Writes what is known of a person with the rest of the transaction.
pub fn update_account(unit: &mut Unit, id: Uuid, profile: &Profile) {
    let now = unit.now();
    let profile = profile.clone();
    let values: Vec<Parameter> = vec![
        Box::new(id),
        Box::new(profile.email),
        Box::new(profile.email_vouched),
        Box::new(profile.given_name),
        Box::new(profile.family_name),
        Box::new(profile.picture),
        Box::new(now),
    ];
    unit.transaction.later(UPDATE_ACCOUNT, values);
}

/// Writes a new identity, now; it is of this account.
///
/// # Errors
/// [`DatabaseError`].
pub async fn insert_identity(unit: &Unit, account: Uuid, verified: &Verified) -> Result<Uuid, DatabaseError> {
    let id = unit.new_id();
    let email = verified.email.as_ref();
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 10] = [
        &id,
        &account,
        &verified.provider,
        &verified.subject,
        &email.map(|email| email.text.as_str()),
        &email.is_some_and(|email| email.is_vouched),
        &email.is_some_and(|email| email.is_relay),
        &verified.given_name,
        &verified.family_name,
        &unit.now(),
    ];
    unit.transaction.query(INSERT_IDENTITY, &values).await?;
    Ok(id)
}

/// Writes what an identity says now with the rest of the transaction.
pub fn update_identity(unit: &mut Unit, identity: &Identity, verified: &Verified) {
    let now = unit.now();
    let email = verified.email.as_ref();
    let values: Vec<Parameter> = vec![
        Box::new(identity.id),
        Box::new(email.map(|email| email.text.clone())),
        Box::new(email.is_some_and(|email| email.is_vouched)),
        Box::new(email.map_or(identity.email_relay, |email| email.is_relay)),
        Box::new(verified.given_name.clone()),
        Box::new(verified.family_name.clone()),
        Box::new(now),
    ];
    unit.transaction.later(UPDATE_IDENTITY, values);
}

/// Writes whether an identity is vouched for with its address.
pub fn vouch(unit: &mut Unit, identity: Uuid, vouched: bool) {
    unit.transaction.later(VOUCH, vec![Box::new(identity), Box::new(vouched)]);
}

/// Forgets the login provider's own tokens of an identity.
pub fn forget_tokens(unit: &mut Unit, identity: Uuid) {
    unit.transaction.later(FORGET_TOKENS, vec![Box::new(identity)]);
}

/// Removes an identity, and the login provider's tokens with it.
///
/// # Errors
/// [`DatabaseError`].
pub async fn delete_identity(unit: &Unit, identity: Uuid) -> Result<(), DatabaseError> {
    unit.transaction.query(DELETE_IDENTITY, &[&identity]).await.map(drop)
}

/// Removes an account with everything that refers to it.
pub fn delete_account(unit: &mut Unit, account: Uuid) {
    unit.transaction.later(DELETE_ACCOUNT, vec![Box::new(account)]);
}
