//! How long to wait after a failure.

use std::time::Duration;

use crate::clock::Randomness;

/// The waits between attempts.
#[derive(Debug, Clone, Copy)]
pub enum Backoff {
    /// Doubles from the first wait up to the longest.
    Doubling {
        /// After the first attempt.
        first: Duration,
        /// Never longer than this, before jitter.
        longest: Duration,
    },
    /// These, one after the other; the last one repeats.
    Steps(&'static [Duration]),
}

impl Default for Backoff {
    fn default() -> Self {
        Self::Doubling { first: Duration::from_secs(2), longest: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// The wait after attempt number `attempt`, from 1: up to a fifth shorter or longer, so that what failed together
    /// does not come back together.
    pub fn wait(&self, attempt: u32, randomness: &dyn Randomness) -> Duration {
        let step = attempt.saturating_sub(1);
        let wait = match *self {
            Self::Doubling { first, longest } => {
                first.saturating_mul(2_u32.saturating_pow(step)).min(longest)
            }
            Self::Steps(steps) => {
                let last = steps.len().saturating_sub(1);
                steps.get((step as usize).min(last)).copied().unwrap_or_default()
            }
        };
        let mut random = [0; 4];
        randomness.fill(&mut random);
        let part = f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX);
        wait.mul_f64(0.8 + 0.4 * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills with one byte: the ends of the range.
    #[derive(Debug)]
    struct Constant(u8);

    impl Randomness for Constant {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn bounds(backoff: Backoff, attempt: u32) -> (f64, f64) {
        let wait = |byte| backoff.wait(attempt, &Constant(byte)).as_secs_f64();
        (wait(0), wait(255))
    }

    #[test]
    fn doubles_with_jitter_up_to_the_longest() {
        let backoff = Backoff::Doubling { first: SECOND, longest: SECOND * 100 };
        assert_eq!(bounds(backoff, 1), (0.8, 1.2));
        assert_eq!(bounds(backoff, 3), (3.2, 4.8));
        assert_eq!(bounds(backoff, 20), (80.0, 120.0));
        assert_eq!(bounds(backoff, u32::MAX), (80.0, 120.0));
    }

    #[test]
    fn steps_end_with_the_last() {
        const STEPS: Backoff = Backoff::Steps(&[Duration::from_secs(5), Duration::from_secs(300)]);
        assert_eq!(bounds(STEPS, 1), (4.0, 6.0));
        assert_eq!(bounds(STEPS, 2), (240.0, 360.0));
        assert_eq!(bounds(STEPS, 9), (240.0, 360.0));
    }
}
