//! An identity becomes an account's: a new one's, or one's that there is.

use foundation::audit::Event;
use foundation::problem::Problem;
use foundation::write::Unit;
use uuid::Uuid;

use super::letters::tell;
use super::profile::Profile;
use super::store::{self, Account, Identity};
use super::told;
use crate::errands::Letter;
use crate::session::{self, Ending};
use crate::state::Broker;
use crate::upstream::{Verified, refresh};

const END_RECOVERIES: &str = "DELETE FROM recoveries WHERE account_id = $1 AND used_at IS NULL";

/// Why an identity joins an account, as the audit event says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Login providers vouch for both addresses.
    Vouched,
    /// The person was asked, and signed in to the account.
    Asked,
    /// The person wanted it, in this session of the account.
    Linked(Uuid),
}

impl Because {
    fn as_str(self) -> &'static str {
        match self {
            Self::Vouched => "vouched",
            Self::Asked => "asked",
            Self::Linked(_) => "linked",
        }
    }
}

/// Makes an account of somebody new.
///
/// # Errors
/// The problem of the database.
pub async fn begin(broker: &Broker, unit: &mut Unit, verified: &Verified) -> Result<Uuid, Problem> {
    let account = unit.new_id();
    unit.go_on_as(account, None).await?;
    store::insert_account(unit, account, &Profile::first(verified)).await?;
    let identity = store::insert_identity(unit, account, verified).await?;
    told::forget_later(unit, &verified.provider, &verified.subject);
    keep_tokens(broker, unit, identity, verified).await?;
    unit.audit(Event::new("account.create", "account").of(account).changed(
        "provider",
        (),
        verified.provider.as_str(),
    ));
    Ok(account)
}

/// Lets a new identity join an account that there is; whoever did not prove to be its person ends with it, and the person is
/// told.
///
/// # Errors
/// The problem of the database.
pub async fn join(
    broker: &Broker,
    unit: &mut Unit,
    account: &Account,
    verified: &Verified,
    because: Because,
) -> Result<(), Problem> {
    unit.go_on_as(account.id, None).await?;
    let others = Identity::of(&unit.transaction, account.id).await?;
    let profile = account.profile.after(None, verified, |address| is_vouched_by(&others, None, address));
    let identity = store::insert_identity(unit, account.id, verified).await?;
    told::forget_later(unit, &verified.provider, &verified.subject);
    keep_tokens(broker, unit, identity, verified).await?;
    unit.audit(
        Event::new("identity.link", "identity")
            .of(identity)
            .changed("provider", (), verified.provider.as_str())
            .changed("because", (), because.as_str()),
    );
    end_leftovers(broker, unit, account, &profile, because).await?;
    store::update_account(unit, account.id, &profile);
    let own = verified.email.as_ref().filter(|email| email.is_vouched).map(|email| email.text.as_str());
    let told = account.profile.letterbox().into_iter().chain(own);
    let label = broker.label(&verified.provider);
    tell(unit, told, Letter::IdentityJoined, &[("provider", label)]);
    Ok(())
}

/// Ends what somebody may have left in the account before its address was vouched for, and what could let somebody in
/// without any identity.
async fn end_leftovers(
    broker: &Broker,
    unit: &mut Unit,
    account: &Account,
    profile: &Profile,
    because: Because,
) -> Result<(), Problem> {
    unit.transaction.later(END_RECOVERIES, vec![Box::new(account.id)]);
    if profile.email_vouched && !account.profile.email_vouched {
        let but = match because {
            Because::Linked(session) => Some(session),
            Because::Vouched | Because::Asked => None,
        };
        let ending = Ending { but, and_offline: true, ..Ending::default() };
        session::end(unit, Some(&broker.settings), account.id, ending).await?;
    }
    Ok(())
}

/// Writes what an identity that is known says now, and what follows for its account: as it is then.
///
/// # Errors
/// The problem of the database.
pub async fn come_again(
    broker: &Broker,
    unit: &mut Unit,
    account: &Account,
    identity: &Identity,
    verified: &Verified,
) -> Result<Account, Problem> {
    unit.go_on_as(account.id, None).await?;
    let all = Identity::of(&unit.transaction, account.id).await?;
    let is_first = all.first().is_some_and(|first| first.id == identity.id);
    let before = identity.said(is_first);
    let others = |address: &str| is_vouched_by(&all, Some(identity.id), address);
    let profile = account.profile.after(Some(&before), verified, others);
    store::update_identity(unit, identity, verified);
    keep_tokens(broker, unit, identity.id, verified).await?;
    if profile != account.profile {
        store::update_account(unit, account.id, &profile);
        report_changes(unit, account, &profile);
    }
    Ok(Account { profile, ..account.clone() })
}

/// An address that changes is audited, and told at the old one and the new one.
fn report_changes(unit: &mut Unit, account: &Account, now: &Profile) {
    let before = &account.profile;
    if before.email == now.email && before.email_vouched == now.email_vouched {
        return;
    }
    unit.audit(
        Event::new("account.address", "account")
            .of(account.id)
            .changed("vouched", before.email_vouched, now.email_vouched)
            .changed_secret("address"),
    );
    if before.email != now.email {
        tell(unit, before.letterbox().into_iter().chain(now.letterbox()), Letter::AddressChanged, &[]);
    }
}

/// Whether one of the identities, other than `but`, is vouched for with the address.
#[must_use]
pub fn is_vouched_by(identities: &[Identity], but: Option<Uuid>, address: &str) -> bool {
    identities.iter().any(|identity| {
        Some(identity.id) != but
            && identity.email_vouched
            && identity.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(address))
    })
}

async fn keep_tokens(
    broker: &Broker,
    unit: &mut Unit,
    identity: Uuid,
    verified: &Verified,
) -> Result<(), Problem> {
    match &verified.tokens {
        Some(tokens) => refresh::keep(broker, &mut unit.transaction, identity, tokens).await,
        None => Ok(()),
    }
}
