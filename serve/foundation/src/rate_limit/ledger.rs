//! What this process let through by itself, and Valkey is told of a moment later.
//!
//! Most callers are far from every limit, and to ask about each of their requests would cost an exchange for nothing. So
//! whoever has used less than half of a quota passes by what Valkey said last and what has passed since. Valkey is told
//! within [`super::SETTLED_EVERY`], and is asked first where its word is older than [`BELIEVED`], where a sixteenth of the
//! quota has passed without its knowledge, or where half of the quota is used. One process alone is exact by that; of
//! several, each can let through a sixteenth more than there is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::gcra::{self, Quota};
use super::{Limit, Subject};

/// Microseconds for which Valkey's word is believed: another process may have let the same caller through since.
const BELIEVED: i64 = 1_000_000;
/// This part of a quota can pass before Valkey knows.
const AHEAD: u32 = 16;

/// Whose account it is: a limit's name, and its subject.
type Account = (&'static str, Subject);

/// The accounts of those who came a moment ago.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<HashMap<Account, Entry>>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    quota: Quota,
    /// When everything will have flowed back (microseconds): Valkey's word, and what has passed since.
    full_at: i64,
    /// How many of those Valkey does not know.
    owed: u32,
    /// When Valkey said it (microseconds).
    said_at: i64,
}

impl Entry {
    /// Where the account stands with one more request; none where Valkey has to be asked first.
    fn with_one_more(&self, now: i64) -> Option<i64> {
        let is_believed = (0..BELIEVED).contains(&now.saturating_sub(self.said_at));
        let (passes, full_at) = gcra::decide(self.quota, Some(self.full_at), now);
        let requests = self.quota.requests();
        let is_far = gcra::standing(self.quota, full_at, now).remaining >= requests / 2;
        (is_believed && passes && is_far && self.owed < requests / AHEAD).then_some(full_at)
    }
}

impl Ledger {
    /// Charges a request to all `limits` where each of them is far from exhausted, and says where they stand; where one is
    /// not, or is not known, it charges none.
    pub fn charge(&self, limits: &[Limit], now: i64) -> Option<Vec<i64>> {
        let mut entries = self.entries();
        let stands: Option<Vec<i64>> =
            limits.iter().map(|limit| entries.get(&account(limit))?.with_one_more(now)).collect();
        let stands = stands?;
        for (limit, full_at) in limits.iter().zip(&stands) {
            if let Some(entry) = entries.get_mut(&account(limit)) {
                entry.full_at = *full_at;
                entry.owed += 1;
            }
        }
        Some(stands)
    }

    /// What each of `limits` is owed, which the caller goes to tell Valkey.
    pub fn take(&self, limits: &[Limit]) -> Vec<u32> {
        let mut entries = self.entries();
        let owed =
            |limit| entries.get_mut(&account(limit)).map_or(0, |entry| std::mem::take(&mut entry.owed));
        limits.iter().map(owed).collect()
    }

    /// Every limit that is owed something, at most `most` of them, with how much; the caller goes to tell Valkey. Accounts
    /// that nobody has used for a while are closed.
    pub fn take_all(&self, most: usize, now: i64) -> Vec<(Limit, u32)> {
        let mut entries = self.entries();
        entries.retain(|_, entry| entry.owed > 0 || now.saturating_sub(entry.said_at) < BELIEVED);
        let owing = entries.iter_mut().filter(|(_, entry)| entry.owed > 0).take(most);
        owing
            .map(|(&(name, subject), entry)| {
                (Limit { name, quota: entry.quota, subject }, std::mem::take(&mut entry.owed))
            })
            .collect()
    }

    /// Believes what Valkey said of these limits; what passed while it was asked comes on top.
    pub fn learn(&self, limits: &[Limit], stands: &[i64], now: i64) {
        let mut entries = self.entries();
        for (limit, stands) in limits.iter().zip(stands) {
            let owed = entries.get(&account(limit)).map_or(0, |entry| entry.owed);
            let since = limit.quota.interval_us().saturating_mul(owed.into());
            let full_at = (*stands).max(now).saturating_add(since);
            let entry = Entry { quota: limit.quota, full_at, owed, said_at: now };
            entries.insert(account(limit), entry);
        }
    }

    /// Closes all accounts, where Valkey does not answer.
    pub fn forget(&self) {
        self.entries().clear();
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Account, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn account(limit: &Limit) -> Account {
    (limit.name, limit.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000_000;

    fn limit(name: &'static str, per_minute: u32) -> Limit {
        let subject = Subject::Address("192.0.2.1".parse().unwrap());
        Limit { name, quota: Quota::per_minute(per_minute), subject }
    }

    /// How many pass before Valkey has to be asked.
    fn pass(ledger: &Ledger, limits: &[Limit], now: i64) -> u32 {
        (0..).find(|_| ledger.charge(limits, now).is_none()).unwrap()
    }

    #[test]
    fn a_sixteenth_passes_before_valkey_is_told() {
        let (ledger, limits) = (Ledger::default(), [limit("read", 160)]);
        assert_eq!(pass(&ledger, &limits, NOW), 0, "nobody knows where it stands");
        ledger.learn(&limits, &[NOW], NOW);
        assert_eq!(pass(&ledger, &limits, NOW), 10);
        assert_eq!(ledger.take(&limits), [10]);
        assert_eq!(ledger.take(&limits), [0], "it is told once");
        // Valkey answers with what it was told, and meanwhile three more have passed.
        assert!((0..3).all(|_| ledger.charge(&limits, NOW).is_some()));
        let told = NOW + 10 * limits[0].quota.interval_us();
        ledger.learn(&limits, &[told], NOW);
        let stands = ledger.charge(&limits, NOW).unwrap();
        assert_eq!(gcra::standing(limits[0].quota, stands[0], NOW).remaining, 160 - 14);
    }

    #[test]
    fn near_its_limit_or_after_a_while_valkey_decides() {
        let (ledger, limits) = (Ledger::default(), [limit("read", 160)]);
        let interval = limits[0].quota.interval_us();
        ledger.learn(&limits, &[NOW + 78 * interval], NOW);
        assert_eq!(pass(&ledger, &limits, NOW), 2, "half of the quota is used");
        ledger.learn(&limits, &[NOW], NOW);
        assert!(ledger.charge(&limits, NOW + BELIEVED - 1).is_some());
        assert!(ledger.charge(&limits, NOW + BELIEVED).is_none());
        assert!(ledger.charge(&limits, NOW - 1).is_none(), "the clock was set back");
        ledger.forget();
        assert!(ledger.charge(&limits, NOW).is_none());
    }

    #[test]
    fn all_limits_of_a_request_are_charged_or_none() {
        let (ledger, wide, narrow) = (Ledger::default(), limit("wide", 1_600), limit("narrow", 16));
        ledger.learn(&[wide, narrow], &[NOW, NOW], NOW);
        assert_eq!(pass(&ledger, &[wide, narrow], NOW), 1);
        assert_eq!(ledger.take(&[wide, narrow]), [1, 1]);
        assert!(ledger.charge(&[wide, limit("unknown", 16)], NOW).is_none());
        assert_eq!(ledger.take(&[wide]), [0]);
    }

    #[test]
    fn what_is_owed_is_kept_until_it_is_told_and_what_is_not_is_closed() {
        let (ledger, limits) = (Ledger::default(), [limit("one", 160), limit("two", 160)]);
        ledger.learn(&limits, &[NOW, NOW], NOW);
        assert!(ledger.charge(&limits, NOW).is_some());
        let later = NOW + 10 * BELIEVED;
        assert_eq!(ledger.take_all(1, later).len(), 1);
        assert_eq!(ledger.take_all(9, later).iter().map(|(_, owed)| owed).sum::<u32>(), 1);
        assert!(ledger.take_all(9, later).is_empty() && ledger.entries().is_empty());
    }
}
