//! How a login provider is: one that does not answer is left alone for a while, and never more than so many wait for it, so
//! that it slows nobody who signs in with another.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::error::UpstreamError;

/// As many may wait for one login provider at once.
const MOST: usize = 32;
/// After so many failures without an answer between them it is left alone.
const FAILURES: u32 = 3;
/// For this long; then one may try.
const REST: Duration = Duration::from_secs(10);
/// An answer that takes longer is no good one.
const SLOW: Duration = Duration::from_secs(3);

/// Whether people can sign in with a login provider, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It answers.
    Ok,
    /// It is down or slow.
    Unavailable,
}

/// How one login provider is.
#[derive(Debug)]
pub struct Health {
    places: Semaphore,
    condition: Mutex<Condition>,
    went_down: Notify,
}

#[derive(Debug, Default)]
struct Condition {
    failures: u32,
    rests_until: Option<OffsetDateTime>,
}

impl Default for Health {
    fn default() -> Self {
        Self { places: Semaphore::new(MOST), condition: Mutex::default(), went_down: Notify::new() }
    }
}

impl Health {
    /// A place among those who wait for it.
    ///
    /// # Errors
    /// [`UpstreamError::Resting`] and [`UpstreamError::Busy`].
    pub fn enter(&self, now: OffsetDateTime) -> Result<SemaphorePermit<'_>, UpstreamError> {
        let place = self.places.try_acquire().map_err(|_| UpstreamError::Busy)?;
        let mut condition = self.condition();
        if condition.rests_until.is_some_and(|until| now < until && until - now <= REST) {
            return Err(UpstreamError::Resting);
        }
        if condition.rests_until.is_some() {
            // The others wait for what becomes of this one.
            condition.rests_until = Some(now + REST);
        }
        Ok(place)
    }

    /// Remembers whether it has answered, and how long that took.
    pub fn note(&self, is_good: bool, took: Duration, now: OffsetDateTime) {
        let mut condition = self.condition();
        if is_good && took < SLOW {
            *condition = Condition::default();
            return;
        }
        condition.failures = condition.failures.saturating_add(1);
        if condition.failures >= FAILURES {
            condition.rests_until = Some(now + REST);
        }
        if condition.failures == FAILURES {
            self.went_down.notify_one();
        }
    }

    /// Waits until it is to be left alone.
    pub async fn went_down(&self) {
        self.went_down.notified().await;
    }

    /// Whether people can sign in with it. One that is to be left alone stays unavailable until it has answered.
    pub fn standing(&self) -> Standing {
        if self.condition().failures >= FAILURES { Standing::Unavailable } else { Standing::Ok }
    }

    fn condition(&self) -> std::sync::MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const QUICK: Duration = Duration::from_millis(1);

    #[test]
    fn whoever_does_not_answer_is_left_alone_until_one_has_tried() {
        let health = Health::default();
        for _ in 0..FAILURES {
            assert!(health.enter(at(0)).is_ok());
            assert_eq!(health.standing(), Standing::Ok);
            health.note(false, QUICK, at(0));
        }
        assert_eq!(health.standing(), Standing::Unavailable);
        assert!(matches!(health.enter(at(9)), Err(UpstreamError::Resting)));
        assert!(health.enter(at(10)).is_ok(), "one tries");
        assert!(matches!(health.enter(at(10)), Err(UpstreamError::Resting)), "and no other");
        assert_eq!(health.standing(), Standing::Unavailable);
        health.note(true, QUICK, at(11));
        assert_eq!(health.standing(), Standing::Ok);
        assert!(health.enter(at(11)).is_ok());
    }

    #[test]
    fn an_answer_that_takes_long_is_no_good_one_and_a_good_one_in_between_counts() {
        let health = Health::default();
        for took in [SLOW, SLOW, QUICK, SLOW, SLOW] {
            health.note(true, took, at(0));
        }
        assert_eq!(health.standing(), Standing::Ok);
        health.note(true, SLOW, at(0));
        assert_eq!(health.standing(), Standing::Unavailable);
    }

    #[test]
    fn a_clock_that_was_set_back_lets_nobody_wait() {
        let health = Health::default();
        for _ in 0..FAILURES {
            health.note(false, QUICK, at(1_000_000));
        }
        assert!(health.enter(at(0)).is_ok());
    }

    #[test]
    fn only_so_many_wait() {
        let health = Health::default();
        let places: Vec<_> = (0..MOST).map(|_| health.enter(at(0)).unwrap()).collect();
        assert!(matches!(health.enter(at(0)), Err(UpstreamError::Busy)));
        drop(places);
        assert!(health.enter(at(0)).is_ok());
    }
}
