//! What is remembered of those who have failed.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use foundation::rate_limit::gcra::{Quota, decide, standing};
use time::OffsetDateTime;

use super::Tried;

/// Failures of one client from wherever it has never succeeded.
const OF_STRANGERS: Quota = Quota::per_minute(300);
/// Callers that are known at once. Beyond that, strangers share what is left.
pub(super) const MOST: usize = 20_000;
/// Microseconds between two looks for callers that need not be known any more: each look goes through all of them.
const LOOKS: i64 = 1_000_000;
/// As many addresses are remembered at which a client has proven who it is.
const MOST_HOMES: usize = 16;
/// Whoever is not known by an address.
const NOWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Who is slowed: what is tried from a network, or from everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller {
    network: Option<IpAddr>,
    tried: Tried,
}

impl Caller {
    /// From one network.
    pub fn at(network: IpAddr, tried: Tried) -> Self {
        Self { network: Some(network), tried }
    }

    fn quota(self) -> Quota {
        if self.network.is_some() { self.tried.quota() } else { OF_STRANGERS }
    }
}

/// How much has failed, and who has proven at which networks to be which client.
#[derive(Debug, Default)]
pub struct Known {
    pub(super) callers: HashMap<Caller, i64>,
    homes: HashMap<usize, VecDeque<IpAddr>>,
    looked_at: i64,
}

impl Known {
    /// How long to wait for another attempt, where that is needed.
    pub fn wait(&self, tried: Tried, network: IpAddr, now: OffsetDateTime) -> Option<Duration> {
        let now = microseconds(now);
        let waits = self.callers_of(tried, network).filter_map(|caller| {
            let place = if self.is_at_home(tried, network) { caller } else { self.place(caller) };
            let (passes, full_at) = decide(caller.quota(), self.callers.get(&place).copied(), now);
            (!passes).then(|| standing(caller.quota(), full_at, now).retry_after)
        });
        waits.max()
    }

    /// An attempt has failed.
    pub fn failed(&mut self, tried: Tried, network: IpAddr, now: OffsetDateTime) {
        let now = microseconds(now);
        if self.callers.len() >= MOST && now.saturating_sub(self.looked_at) >= LOOKS {
            self.callers.retain(|_, full_at| *full_at > now);
            self.looked_at = now;
        }
        let callers: Vec<Caller> = self.callers_of(tried, network).collect();
        for caller in callers {
            let place = self.place(caller);
            let (_, full_at) = decide(caller.quota(), self.callers.get(&place).copied(), now);
            self.callers.insert(place, full_at);
        }
    }

    /// A client has proven here who it is.
    pub fn proved(&mut self, client: usize, network: IpAddr) {
        let homes = self.homes.entry(client).or_default();
        if homes.back() == Some(&network) {
            return;
        }
        homes.retain(|home| *home != network);
        homes.push_back(network);
        if homes.len() > MOST_HOMES {
            homes.pop_front();
        }
    }

    /// As whom an attempt counts. One at a client counts as one at any client from this network too; and, once the client has
    /// proven somewhere who it is, as one of all strangers' wherever it has not.
    fn callers_of(&self, tried: Tried, network: IpAddr) -> impl Iterator<Item = Caller> {
        let own = Caller::at(network, tried);
        let (everybody, strangers) = match tried {
            Tried::Client(Some(client)) => {
                let is_stranger = self.homes.contains_key(&client) && !self.is_at_home(tried, network);
                (
                    Some(Caller::at(network, Tried::Client(None))),
                    is_stranger.then_some(Caller { network: None, tried }),
                )
            }
            _ => (None, None),
        };
        [Some(own), everybody, strangers].into_iter().flatten()
    }

    fn is_at_home(&self, tried: Tried, network: IpAddr) -> bool {
        let Tried::Client(Some(client)) = tried else { return false };
        self.homes.get(&client).is_some_and(|homes| homes.contains(&network))
    }

    /// Under whom a caller is kept.
    fn place(&self, caller: Caller) -> Caller {
        if self.callers.len() < MOST || self.callers.contains_key(&caller) {
            caller
        } else {
            Caller::at(NOWHERE, caller.tried)
        }
    }
}

/// Whoever has one IPv6 address has all of its network.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

fn microseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}
