//! What a credential allows, and the rule that nobody hands on more than that.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use time::OffsetDateTime;
use uuid::Uuid;

use super::scope::Scopes;
use crate::problem::{Problem, codes};

/// What a token allows, or a person's role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub scopes: Scopes,
    /// With which resources; nothing means all that the organization has.
    pub resources: Option<BTreeSet<Uuid>>,
    /// From where; nothing means from everywhere.
    pub addresses: Option<Vec<IpNet>>,
    /// Until when; nothing means for as long as the role lasts.
    pub expires_at: Option<OffsetDateTime>,
}

impl Grant {
    /// What these scopes allow without any restriction.
    #[must_use]
    pub fn of_scopes(scopes: Scopes) -> Self {
        Self { scopes, resources: None, addresses: None, expires_at: None }
    }

    /// Whether a request may come from this address. An IPv4 address in IPv6 clothes is the IPv4 address.
    #[must_use]
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses
            .as_ref()
            .is_none_or(|networks| networks.iter().any(|network| network.contains(&address)))
    }

    /// Whether this resource may be touched.
    #[must_use]
    pub fn allows_resource(&self, id: Uuid) -> bool {
        self.resources.as_ref().is_none_or(|resources| resources.contains(&id))
    }

    /// Whether `wanted` is nowhere wider than this.
    ///
    /// # Errors
    /// A problem `token-too-wide` that points to everything that is wider, as members of the request's body.
    pub fn check_handing_on(&self, wanted: &Grant) -> Result<(), Problem> {
        let mut problem = Problem::new(&codes::TOKEN_TOO_WIDE);
        let mut wider = false;
        let mut point = |pointer: &str, code: &'static str, detail: String| {
            let before = std::mem::replace(&mut problem, Problem::new(&codes::TOKEN_TOO_WIDE));
            problem = before.error(pointer, code, detail);
            wider = true;
        };
        for scope in self.scopes.lacking(&wanted.scopes) {
            point("/scopes", "wider-scope", format!("{scope} is none of yours."));
        }
        if let Some(own) = &self.resources
            && !wanted.resources.as_ref().is_some_and(|wanted| wanted.is_subset(own))
        {
            point("/resources", "wider-resources", "Name resources of your own token only.".to_owned());
        }
        if let Some(own) = &self.addresses
            && !wanted.addresses.as_ref().is_some_and(|wanted| wanted.iter().all(|one| within(one, own)))
        {
            point(
                "/addresses",
                "wider-addresses",
                "Name networks within those of your own token.".to_owned(),
            );
        }
        if let Some(own) = self.expires_at
            && wanted.expires_at.is_none_or(|wanted| wanted > own)
        {
            point("/expires_at", "later-expiry", "It would outlive your own token.".to_owned());
        }
        if wider { Err(problem) } else { Ok(()) }
    }
}

fn within(network: &IpNet, own: &[IpNet]) -> bool {
    own.iter().any(|own| own.contains(network))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::scope::Scope;
    use crate::garbage::Garbage;
    use std::time::Duration;

    fn nets(texts: &[&str]) -> Option<Vec<IpNet>> {
        Some(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn at(seconds: u64) -> Option<OffsetDateTime> {
        Some(OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn own() -> Grant {
        Grant {
            scopes: Scopes::from_iter([Scope::read("tasks"), Scope::write("tokens")]),
            resources: Some([Uuid::from_u128(1), Uuid::from_u128(2)].into()),
            addresses: nets(&["10.0.0.0/8", "2001:db8::/32"]),
            expires_at: at(100),
        }
    }

    #[test]
    fn the_same_and_less_may_be_handed_on() {
        assert!(own().check_handing_on(&own()).is_ok());
        let less = Grant {
            scopes: Scopes::from_iter([Scope::read("tasks")]),
            resources: Some([Uuid::from_u128(2)].into()),
            addresses: nets(&["10.1.2.3/32"]),
            expires_at: at(99),
        };
        assert!(own().check_handing_on(&less).is_ok());
        assert!(Grant::of_scopes(own().scopes).check_handing_on(&own()).is_ok());
    }

    #[test]
    fn each_way_of_widening_is_refused() {
        type Widen = fn(&mut Grant);
        let wider: [(&str, Widen); 8] = [
            ("/scopes", |grant| grant.scopes = Scopes::from_iter([Scope::write("tasks")])),
            ("/resources", |grant| grant.resources = None),
            ("/resources", |grant| grant.resources = Some([Uuid::from_u128(3)].into())),
            ("/addresses", |grant| grant.addresses = None),
            ("/addresses", |grant| grant.addresses = nets(&["10.0.0.0/7"])),
            ("/addresses", |grant| grant.addresses = nets(&["10.0.0.0/9", "192.0.2.1/32"])),
            ("/expires_at", |grant| grant.expires_at = None),
            ("/expires_at", |grant| grant.expires_at = at(101)),
        ];
        for (pointer, widen) in wider {
            let mut wanted = own();
            widen(&mut wanted);
            let problem = own().check_handing_on(&wanted).unwrap_err();
            assert_eq!(problem.code(), &codes::TOKEN_TOO_WIDE);
            assert_eq!(problem.document()["errors"][0]["pointer"], pointer);
        }
    }

    /// Whatever is handed on, and handed on again: what the last one may, the first may.
    #[test]
    fn no_chain_of_hands_widens() {
        let mut garbage = Garbage::new(8);
        let scopes = [Scope::read("a"), Scope::write("a"), Scope::read("b"), Scope::write("b")];
        for _ in 0..20_000 {
            let mut grant = || Grant {
                scopes: scopes.iter().filter(|_| garbage.below(2) == 0).cloned().collect(),
                resources: (garbage.below(3) > 0)
                    .then(|| (0..garbage.below(3)).map(|id| Uuid::from_u128(id.into())).collect()),
                addresses: (garbage.below(3) > 0)
                    .then(|| vec![format!("10.0.0.0/{}", garbage.below(33)).parse().unwrap()]),
                expires_at: (garbage.below(3) > 0).then(|| at(garbage.below(4)).unwrap()),
            };
            let (first, last) = (grant(), grant());
            if first.check_handing_on(&last).is_ok() {
                assert!(last.scopes.iter().all(|scope| first.scopes.covers(scope)));
                for id in (0..4).map(Uuid::from_u128) {
                    assert!(!last.allows_resource(id) || first.allows_resource(id));
                }
                for address in ["10.0.0.0", "10.0.0.1", "10.255.0.1", "192.0.2.1", "::ffff:10.0.0.1"] {
                    let address = address.parse().unwrap();
                    assert!(!last.allows_address(address) || first.allows_address(address));
                }
                assert!(first.expires_at.is_none_or(|own| last.expires_at.is_some_and(|other| other <= own)));
            }
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_itself() {
        assert!(own().allows_address("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!own().allows_address("::ffff:192.0.2.1".parse().unwrap()));
    }
}
