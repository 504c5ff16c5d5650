//! What an account says of its person: as it was first seen, and updated by rule.
//!
//! What an account has from an identity follows that identity. What it has from elsewhere stays, except that an address for
//! which somebody vouches takes the place of one for which nobody does.

use crate::upstream::{Address, Verified};

/// What is known of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The address.
    pub email: Option<String>,
    /// Whether a login provider vouches for it.
    pub email_vouched: bool,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// An https URL of a picture.
    pub picture: Option<String>,
}

/// What an identity of the account has said so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The address.
    pub email: Option<String>,
    /// Whether its login provider vouches for it.
    pub email_vouched: bool,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// Whether it is the account's first identity.
    pub is_first: bool,
}

impl Profile {
    /// The profile of somebody new.
    #[must_use]
    pub fn first(verified: &Verified) -> Self {
        Self {
            email: verified.email.as_ref().map(|email| email.text.clone()),
            email_vouched: verified.email.as_ref().is_some_and(|email| email.is_vouched),
            given_name: verified.given_name.clone(),
            family_name: verified.family_name.clone(),
            picture: verified.picture.clone(),
        }
    }

    /// The profile after an identity has come again, or has joined (`before` is none then). `others_vouch_for` says whether
    /// another identity of the account is vouched for with an address.
    #[must_use]
    pub fn after(
        &self,
        before: Option<&Said>,
        verified: &Verified,
        others_vouch_for: impl Fn(&str) -> bool,
    ) -> Self {
        let (email, email_vouched) = self.address_after(before, verified.email.as_ref(), others_vouch_for);
        let is_own = |own: &Option<String>, before: Option<&String>| own.is_none() || own.as_ref() == before;
        // First and last name are one thing: never one of each source.
        let follow = is_own(&self.given_name, before.and_then(|before| before.given_name.as_ref()))
            && is_own(&self.family_name, before.and_then(|before| before.family_name.as_ref()));
        let name = |own: &Option<String>, now: &Option<String>| {
            now.clone().filter(|_| follow).or_else(|| own.clone())
        };
        let given_name = name(&self.given_name, &verified.given_name);
        let family_name = name(&self.family_name, &verified.family_name);
        let picture_follows = self.picture.is_none() || before.is_some_and(|before| before.is_first);
        let picture = verified.picture.clone().filter(|_| picture_follows).or_else(|| self.picture.clone());
        Self { email, email_vouched, given_name, family_name, picture }
    }

    fn address_after(
        &self,
        before: Option<&Said>,
        now: Option<&Address>,
        others_vouch_for: impl Fn(&str) -> bool,
    ) -> (Option<String>, bool) {
        let kept = |vouched: bool| (self.email.clone(), vouched);
        let Some(own) = self.email.as_deref() else {
            return now.map_or((None, false), |now| (Some(now.text.clone()), now.is_vouched));
        };
        let came_from_here = before
            .and_then(|before| before.email.as_deref())
            .is_some_and(|before| before.eq_ignore_ascii_case(own));
        match now {
            Some(now) if now.text.eq_ignore_ascii_case(own) => {
                kept(now.is_vouched || self.still_vouched(came_from_here, own, others_vouch_for))
            }
            // A vouched address is worth more than one that is not; and an address follows its identity.
            Some(now) if now.is_vouched && (!self.email_vouched || came_from_here) => {
                (Some(now.text.clone()), true)
            }
            Some(now) if came_from_here && !self.email_vouched => (Some(now.text.clone()), now.is_vouched),
            _ => kept(self.still_vouched(came_from_here, own, others_vouch_for)),
        }
    }

    /// Whether the address is vouched for still, where the identity it came from does not do it now.
    fn still_vouched(
        &self,
        came_from_here: bool,
        own: &str,
        others_vouch_for: impl Fn(&str) -> bool,
    ) -> bool {
        self.email_vouched && (!came_from_here || others_vouch_for(own))
    }

    /// The address once an identity is gone: nobody vouches for it any more unless another one does, and then another
    /// vouched address takes its place.
    #[must_use]
    pub fn without(&self, rest: &[Said]) -> Self {
        let vouched: Vec<&str> =
            rest.iter().filter(|said| said.email_vouched).filter_map(|said| said.email.as_deref()).collect();
        let own = self.email.as_deref().unwrap_or_default();
        let mut profile = self.clone();
        if !vouched.iter().any(|address| address.eq_ignore_ascii_case(own)) {
            profile.email_vouched = !vouched.is_empty();
            if let Some(first) = vouched.first() {
                profile.email = Some((*first).to_owned());
            }
        }
        profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(email: Option<(&str, bool)>, given: Option<&str>, picture: Option<&str>) -> Verified {
        Verified {
            provider: "google".to_owned(),
            subject: "1".to_owned(),
            email: email.map(|(text, is_vouched)| Address {
                text: text.to_owned(),
                is_vouched,
                is_relay: false,
            }),
            given_name: given.map(str::to_owned),
            family_name: None,
            picture: picture.map(str::to_owned),
            authenticated_at: None,
            tokens: None,
        }
    }

    fn said(email: &str, email_vouched: bool) -> Said {
        Said { email: Some(email.to_owned()), email_vouched, is_first: true, ..Said::default() }
    }

    fn account(email: &str, email_vouched: bool) -> Profile {
        Profile { email: Some(email.to_owned()), email_vouched, ..Profile::default() }
    }

    fn after(
        account: &Profile,
        before: Option<&Said>,
        now: Option<(&str, bool)>,
        others: &[&str],
    ) -> (Option<String>, bool) {
        let next = account.after(before, &verified(now, None, None), |email| others.contains(&email));
        (next.email, next.email_vouched)
    }

    fn is(email: &str, vouched: bool) -> (Option<String>, bool) {
        (Some(email.to_owned()), vouched)
    }

    #[test]
    fn an_address_follows_the_identity_that_it_came_from() {
        let (account, before) = (account("a@x.test", true), said("a@x.test", true));
        assert_eq!(after(&account, Some(&before), Some(("b@x.test", true)), &[]), is("b@x.test", true));
        // Another identity's address does not.
        assert_eq!(
            after(&account, Some(&said("c@x.test", true)), Some(("d@x.test", true)), &[]),
            is("a@x.test", true)
        );
        assert_eq!(after(&account, None, Some(("d@x.test", true)), &[]), is("a@x.test", true));
        // And no address for which nobody vouches takes the place of a vouched one.
        assert_eq!(after(&account, Some(&before), Some(("b@x.test", false)), &[]), is("a@x.test", false));
        assert_eq!(
            after(&account, Some(&before), Some(("b@x.test", false)), &["a@x.test"]),
            is("a@x.test", true)
        );
    }

    #[test]
    fn vouching_ends_when_nobody_vouches_any_more() {
        let (account, before) = (account("a@x.test", true), said("a@x.test", true));
        assert_eq!(after(&account, Some(&before), Some(("A@x.test", false)), &[]), is("a@x.test", false));
        assert_eq!(
            after(&account, Some(&before), Some(("a@x.test", false)), &["a@x.test"]),
            is("a@x.test", true)
        );
        assert_eq!(after(&account, Some(&before), None, &[]), is("a@x.test", false));
        // Somebody else's silence says nothing of it.
        assert_eq!(after(&account, Some(&said("b@x.test", true)), None, &[]), is("a@x.test", true));
    }

    #[test]
    fn a_vouched_address_takes_the_place_of_another() {
        let account = account("a@x.test", false);
        assert_eq!(after(&account, None, Some(("b@x.test", true)), &[]), is("b@x.test", true));
        assert_eq!(after(&account, None, Some(("b@x.test", false)), &[]), is("a@x.test", false));
        assert_eq!(after(&account, None, Some(("a@x.test", true)), &[]), is("a@x.test", true));
        assert_eq!(after(&Profile::default(), None, Some(("b@x.test", false)), &[]), is("b@x.test", false));
        assert_eq!(after(&Profile::default(), None, None, &[]), (None, false));
    }

    #[test]
    fn names_and_pictures_are_kept_as_first_seen_and_follow_their_identity() {
        let first = Profile::first(&verified(None, Some("Ada"), Some("https://p.test/1")));
        let before = Said { given_name: Some("Ada".to_owned()), is_first: true, ..Said::default() };
        // Apple says the name once.
        let silent = first.after(Some(&before), &verified(None, None, None), |_| false);
        assert_eq!(silent, first);
        let changed =
            first.after(Some(&before), &verified(None, Some("Augusta"), Some("https://p.test/2")), |_| false);
        assert_eq!(changed.given_name.as_deref(), Some("Augusta"));
        assert_eq!(changed.picture.as_deref(), Some("https://p.test/2"));
        let joined = first.after(None, &verified(None, Some("A."), Some("https://p.test/3")), |_| false);
        assert_eq!(joined, first);
        let nameless = Profile::default().after(None, &verified(None, Some("A."), None), |_| false);
        assert_eq!(nameless.given_name.as_deref(), Some("A."));
    }

    #[test]
    fn without_its_identity_an_address_is_not_vouched_for() {
        let account = account("a@x.test", true);
        let of = |rest: &[Said]| (account.without(rest).email, account.without(rest).email_vouched);
        assert_eq!(of(&[said("b@x.test", false)]), is("a@x.test", false));
        assert_eq!(of(&[said("b@x.test", true)]), is("b@x.test", true));
        assert_eq!(of(&[said("b@x.test", true), said("A@x.test", true)]), is("a@x.test", true));
    }
}
