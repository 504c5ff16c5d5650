//! What becomes of somebody whom a login provider knows and the issuer does not yet: the rules of linking, as a function of
//! what is known. They are explained in `docs/identity-linking.md`.

use uuid::Uuid;

use crate::settings::Linking;
use crate::upstream::Address;

/// What becomes of a new identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is somebody new.
    Begin,
    /// It joins this account, and the person is told.
    Join(Uuid),
    /// The person says whether there is an account already, and signs in to it if so.
    Ask,
}

/// An account that has the new identity's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The account.
    pub account: Uuid,
    /// Whether a login provider vouches for the address there.
    pub is_vouched: bool,
    /// Whether it has another identity at the same login provider.
    pub has_one_here: bool,
}

/// Decides by the new identity's address and the accounts that have the same one.
#[must_use]
pub fn decide(linking: Linking, address: Option<&Address>, holders: &[Holder]) -> Decision {
    let Some(address) = address else { return Decision::Begin };
    if !address.is_vouched {
        // Whether anybody has the address: the answer must not tell somebody who does not own it.
        return Decision::Ask;
    }
    // A relay address was made for this identity alone.
    if address.is_relay || holders.is_empty() {
        return Decision::Begin;
    }
    let mut vouched = holders.iter().filter(|holder| holder.is_vouched);
    match (linking, vouched.next(), vouched.next()) {
        // Two people at one provider had the same address one after the other: an address is given to others.
        (Linking::Vouched, Some(holder), None) if !holder.has_one_here => Decision::Join(holder.account),
        _ => Decision::Ask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Uuid = Uuid::from_u128(1);
    const EVE: Uuid = Uuid::from_u128(2);

    fn address(is_vouched: bool, is_relay: bool) -> Address {
        Address { text: "ada@example.test".to_owned(), is_vouched, is_relay }
    }

    fn holder(account: Uuid, is_vouched: bool) -> Holder {
        Holder { account, is_vouched, has_one_here: false }
    }

    fn vouched(linking: Linking, holders: &[Holder]) -> Decision {
        decide(linking, Some(&address(true, false)), holders)
    }

    #[test]
    fn two_vouched_addresses_join_unless_every_join_asks() {
        assert_eq!(vouched(Linking::Vouched, &[holder(ADA, true)]), Decision::Join(ADA));
        assert_eq!(vouched(Linking::Ask, &[holder(ADA, true)]), Decision::Ask);
        assert_eq!(vouched(Linking::Vouched, &[]), Decision::Begin);
        assert_eq!(vouched(Linking::Ask, &[]), Decision::Begin);
    }

    #[test]
    fn an_account_that_nobody_vouched_for_is_never_joined_without_asking() {
        assert_eq!(vouched(Linking::Vouched, &[holder(EVE, false)]), Decision::Ask);
        // Nor does it keep the person from the account that was.
        assert_eq!(vouched(Linking::Vouched, &[holder(EVE, false), holder(ADA, true)]), Decision::Join(ADA));
        assert_eq!(vouched(Linking::Vouched, &[holder(EVE, true), holder(ADA, true)]), Decision::Ask);
    }

    #[test]
    fn an_address_that_nobody_vouches_for_now_joins_nothing_and_tells_nothing() {
        let found =
            [&[][..], &[holder(ADA, true)], &[holder(ADA, false)], &[holder(ADA, true), holder(EVE, true)]];
        for holders in found {
            for linking in [Linking::Vouched, Linking::Ask] {
                let decision = decide(linking, Some(&address(false, false)), holders);
                assert_eq!(decision, Decision::Ask, "{holders:?}");
            }
        }
    }

    #[test]
    fn without_an_address_or_with_one_made_for_this_site_it_is_somebody_new() {
        assert_eq!(decide(Linking::Vouched, None, &[]), Decision::Begin);
        let relay = address(true, true);
        assert_eq!(decide(Linking::Vouched, Some(&relay), &[holder(ADA, true)]), Decision::Begin);
    }

    #[test]
    fn another_person_at_the_same_provider_with_the_same_address_is_asked() {
        let had = Holder { has_one_here: true, ..holder(ADA, true) };
        assert_eq!(vouched(Linking::Vouched, &[had]), Decision::Ask);
    }
}
