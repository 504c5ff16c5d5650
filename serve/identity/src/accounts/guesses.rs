//! Guesses at secrets, slowed by the address that they come from: nobody else is locked out by them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foundation::rate_limit::gcra::{Quota, decide, standing};
use time::OffsetDateTime;

/// A person needs one or two.
const QUOTA: Quota = Quota::new(10, Duration::from_secs(600));
/// Addresses that are known at once. Beyond that, those that have waited long enough are forgotten; where there are none,
/// strangers share what is left.
const MOST: usize = 10_000;

/// How much each address has tried.
#[derive(Debug, Default)]
pub struct Guesses(Mutex<HashMap<IpAddr, i64>>);

impl Guesses {
    /// Takes one guess from this address.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn take(&self, address: IpAddr, now: OffsetDateTime) -> Result<(), Duration> {
        let now = i64::try_from(now.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = network(address);
        if known.len() >= MOST && !known.contains_key(&key) {
            known.retain(|_, full_at| *full_at > now);
            if known.len() >= MOST {
                key = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        let (passes, full_at) = decide(QUOTA, known.get(&key).copied(), now);
        known.insert(key, full_at);
        if passes { Ok(()) } else { Err(standing(QUOTA, full_at, now).retry_after) }
    }
}

/// Whoever has one IPv6 address has all of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_slowed_and_no_other() {
        let (guesses, now) = (Guesses::default(), OffsetDateTime::UNIX_EPOCH);
        let take = |address: &str, now| guesses.take(address.parse().unwrap(), now);
        for number in 0..10 {
            assert_eq!(take(&format!("2001:db8::{number}"), now), Ok(()));
        }
        let wait = take("2001:db8::ffff", now).unwrap_err();
        assert_eq!(take("2001:db8:0:1::1", now), Ok(()));
        assert_eq!(take("192.0.2.1", now), Ok(()));
        assert!(take("2001:db8::1", now + wait - Duration::from_millis(1)).is_err());
        assert_eq!(take("2001:db8::1", now + wait), Ok(()));
    }

    #[test]
    fn however_many_addresses_there_are_they_fit() {
        let (guesses, now) = (Guesses::default(), OffsetDateTime::UNIX_EPOCH);
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        let passed = (0..20_000).filter(|number| guesses.take(address(*number), now).is_ok()).count();
        assert_eq!(passed, MOST + 10);
        assert!(guesses.0.lock().unwrap().len() <= MOST + 1);
    }
}
