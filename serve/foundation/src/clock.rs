//! Time and randomness, injected, so that tests decide both.

use std::fmt::Debug;

use ring::rand::SecureRandom as _;
use time::OffsetDateTime;
use uuid::{Builder, Uuid};

/// Tells the time.
pub trait Clock: Send + Sync + Debug {
    /// Now, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// Makes what nobody can guess.
pub trait Randomness: Send + Sync + Debug {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// The operating system's source of randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        // Without it no secret can be made, and Linux has it from early boot on.
        ring::rand::SystemRandom::new().fill(bytes).expect("the operating system gives randomness");
    }
}

/// A new identifier (UUID version 7): sorted by the time of its making, and not to be guessed.
pub fn new_id(clock: &dyn Clock, randomness: &dyn Randomness) -> Uuid {
    let mut random = [0; 10];
    randomness.fill(&mut random);
    let milliseconds = clock.now().unix_timestamp_nanos() / 1_000_000;
    Builder::from_unix_timestamp_millis(u64::try_from(milliseconds).unwrap_or(0), &random).into_uuid()
}

/// Clocks that stand still and randomness that repeats.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::{Clock, OffsetDateTime, Randomness};

    /// Stands still until it is advanced.
    #[derive(Debug)]
    pub struct FixedClock(Mutex<OffsetDateTime>);

    impl FixedClock {
        /// A clock that says `now`.
        #[must_use]
        pub fn at(now: OffsetDateTime) -> Self {
            Self(Mutex::new(now))
        }

        /// Lets time pass.
        pub fn advance(&self, by: Duration) {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += by;
        }
    }

    impl Clock for FixedClock {
        fn now(&self) -> OffsetDateTime {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// Counts: what it fills differs each time and is the same in each run.
    #[derive(Debug, Default)]
    pub struct CountingRandomness(AtomicU64);

    impl Randomness for CountingRandomness {
        fn fill(&self, bytes: &mut [u8]) {
            for chunk in bytes.chunks_mut(8) {
                let next = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                let length = chunk.len();
                chunk.copy_from_slice(&next[8 - length..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{CountingRandomness, FixedClock};
    use super::*;
    use std::time::Duration;

    #[test]
    fn identifiers_are_sorted_by_time() {
        let clock = FixedClock::at(OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let randomness = CountingRandomness::default();
        let first = new_id(&clock, &randomness);
        clock.advance(Duration::from_millis(1));
        let second = new_id(&clock, &randomness);
        assert!(first < second);
        assert_eq!(first.get_version_num(), 7);
    }
}
