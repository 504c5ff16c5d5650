//! Whoever proves nothing, again and again, is slowed: by address, and by client and address. What succeeds costs nothing, and
//! failures from one address cost no other anything, so nobody can lock a client out from elsewhere.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foundation::rate_limit::gcra::{Quota, decide, standing};
use time::OffsetDateTime;

/// Failures of one client at one address.
const OF_CLIENT: Quota = Quota::per_minute(10);
/// Failures of everybody at one address. More, because several clients may share it.
const OF_ADDRESS: Quota = Quota::per_minute(60);
/// Callers that are known at once. Beyond that, strangers share what is left.
const MOST: usize = 20_000;

/// Who is slowed: everybody at an address, or one client there, by its place among the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Caller {
    address: IpAddr,
    client: Option<usize>,
}

impl Caller {
    fn quota(self) -> Quota {
        if self.client.is_some() { OF_CLIENT } else { OF_ADDRESS }
    }
}

/// How much has failed.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<Caller, i64>>);

impl Throttle {
    /// Whether another attempt may be made.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(&self, address: IpAddr, client: Option<usize>, now: OffsetDateTime) -> Result<(), Duration> {
        let now = microseconds(now);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = callers(address, client).filter_map(|caller| {
            let full_at = known.get(&placed(&known, caller)).copied();
            let (passes, full_at) = decide(caller.quota(), full_at, now);
            (!passes).then(|| standing(caller.quota(), full_at, now).retry_after)
        });
        waits.max().map_or(Ok(()), Err)
    }

    /// An attempt has failed.
    pub fn failed(&self, address: IpAddr, client: Option<usize>, now: OffsetDateTime) {
        let now = microseconds(now);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for caller in callers(address, client) {
            if known.len() >= MOST && !known.contains_key(&caller) {
                known.retain(|_, full_at| *full_at > now);
            }
            let place = placed(&known, caller);
            let (_, full_at) = decide(caller.quota(), known.get(&place).copied(), now);
            known.insert(place, full_at);
        }
    }
}

fn callers(address: IpAddr, client: Option<usize>) -> impl Iterator<Item = Caller> {
    let address = network(address);
    let everybody = Caller { address, client: None };
    std::iter::once(everybody).chain(client.map(|client| Caller { address, client: Some(client) }))
}

/// Under whom a caller is kept.
fn placed(known: &HashMap<Caller, i64>, caller: Caller) -> Caller {
    if known.len() < MOST || known.contains_key(&caller) {
        caller
    } else {
        Caller { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), client: caller.client }
    }
}

/// Whoever has one IPv6 address has all of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

fn microseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_slowed_where_it_fails_and_nowhere_else() {
        let throttle = Throttle::default();
        let attacker = address("2001:db8::1");
        for _ in 0..10 {
            assert_eq!(throttle.check(attacker, Some(0), NOW), Ok(()));
            throttle.failed(attacker, Some(0), NOW);
        }
        let wait = throttle.check(address("2001:db8::ffff"), Some(0), NOW).unwrap_err();
        assert_eq!(wait, Duration::from_secs(6));
        assert_eq!(throttle.check(attacker, Some(0), NOW + wait), Ok(()));
        assert_eq!(throttle.check(attacker, Some(1), NOW), Ok(()), "another client behind the same address");
        assert_eq!(
            throttle.check(address("192.0.2.1"), Some(0), NOW),
            Ok(()),
            "the client where it really is"
        );
    }

    #[test]
    fn an_address_is_slowed_whatever_it_calls_itself() {
        let throttle = Throttle::default();
        for _ in 0..60 {
            throttle.failed(address("192.0.2.1"), None, NOW);
        }
        assert!(throttle.check(address("192.0.2.1"), None, NOW).is_err());
        assert!(throttle.check(address("::ffff:192.0.2.1"), Some(3), NOW).is_err());
        assert_eq!(throttle.check(address("192.0.2.2"), None, NOW), Ok(()));
    }

    #[test]
    fn however_many_addresses_there_are_they_fit() {
        let throttle = Throttle::default();
        for number in 0..50_000_u32 {
            throttle.failed(IpAddr::from(number.to_be_bytes()), Some(1), NOW);
        }
        assert!(throttle.0.lock().unwrap().len() <= MOST + 2);
        assert!(throttle.check(address("198.51.100.1"), None, NOW).is_err(), "strangers share what is left");
        assert_eq!(throttle.check(address("198.51.100.1"), None, NOW + Duration::from_secs(60)), Ok(()));
    }
}
