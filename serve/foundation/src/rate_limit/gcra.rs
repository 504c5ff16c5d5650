//! The generic cell rate algorithm as arithmetic: one number a caller, the time at which all that it used has flowed back.
//!
//! A quota of `q` requests in a window `w` lets `q` through at once and then one each `w / q`. The number is called the
//! theoretical arrival time (`full_at`); a request moves it by `w / q`, and is refused where that would put it further
//! than `w` into the future. `gcra.lua` computes the same inside Valkey, where two requests cannot do it at once.

use std::time::Duration;

/// So many requests in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    requests: u32,
    window: Duration,
}

impl Quota {
    /// `requests` a minute. At least one is taken.
    #[must_use]
    pub const fn per_minute(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(60))
    }

    /// `requests` in `window`. At least one request, and a window from a second to a day, are taken: what is outside is
    /// brought inside.
    #[must_use]
    pub const fn new(requests: u32, window: Duration) -> Self {
        let seconds = match window.as_secs() {
            0 => 1,
            seconds if seconds > 86_400 => 86_400,
            seconds => seconds,
        };
        Self { requests: if requests == 0 { 1 } else { requests }, window: Duration::from_secs(seconds) }
    }

    /// How many requests.
    #[must_use]
    pub const fn requests(self) -> u32 {
        self.requests
    }

    /// In how long, whole seconds.
    #[must_use]
    pub const fn window(self) -> Duration {
        self.window
    }

    /// The window in microseconds, the unit of all of this: as a floating-point number, which Valkey's scripts know no
    /// other than, it is exact.
    pub(super) fn window_us(self) -> i64 {
        i64::try_from(self.window.as_micros()).unwrap_or(i64::MAX)
    }

    /// What one request uses. Rounded up, so that never more than the quota passes.
    pub(super) fn interval_us(self) -> i64 {
        let requests = i64::from(self.requests);
        (self.window_us() + requests - 1) / requests
    }
}

/// What is left after a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests that would pass now.
    pub remaining: u32,
    /// After this long everything has flowed back.
    pub full_after: Duration,
    /// Zero if one would pass now; otherwise how long to wait for that.
    pub retry_after: Duration,
}

/// Whether a request of now passes, and the new `full_at`: unchanged where it does not. Times in microseconds.
#[must_use]
pub fn decide(quota: Quota, full_at: Option<i64>, now: i64) -> (bool, i64) {
    let stored = full_at.unwrap_or(now);
    // What lies further ahead than a window was stored by a clock that was wrong; a caller must not wait for it.
    let base = stored.clamp(now, now.saturating_add(slack(quota)));
    let moved = base.saturating_add(quota.interval_us());
    if moved.saturating_sub(now) > slack(quota) { (false, base) } else { (true, moved) }
}

/// How far ahead `full_at` may be: the window, and what rounding the interval up has added to it.
fn slack(quota: Quota) -> i64 {
    quota.interval_us().saturating_mul(i64::from(quota.requests))
}

/// What is left when `full_at` is this.
#[must_use]
pub fn standing(quota: Quota, full_at: i64, now: i64) -> Standing {
    let used = full_at.saturating_sub(now).clamp(0, slack(quota));
    let free = slack(quota) - used;
    let interval = quota.interval_us();
    let micros = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    Standing {
        remaining: u32::try_from(free / interval).unwrap_or(u32::MAX),
        full_after: micros(used),
        retry_after: micros(interval - free),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garbage::Garbage;

    const NOW: i64 = 1_800_000_000_000_000;

    #[test]
    fn a_burst_of_the_quota_passes_and_not_one_more() {
        let mut garbage = Garbage::new(5);
        for _ in 0..300 {
            let quota = any_quota(&mut garbage);
            let mut full_at = None;
            for left in (0..quota.requests()).rev() {
                let (passes, next) = decide(quota, full_at, NOW);
                assert!(passes, "{quota:?}");
                assert_eq!(standing(quota, next, NOW).remaining, left, "{quota:?}");
                full_at = Some(next);
            }
            let (passes, next) = decide(quota, full_at, NOW);
            assert!(!passes && Some(next) == full_at, "{quota:?}");
        }
    }

    /// Whatever the pattern: a burst of the quota, and then what has flowed back.
    #[test]
    fn no_pattern_gets_more_than_the_rate() {
        let mut garbage = Garbage::new(6);
        for _ in 0..200 {
            let quota = any_quota(&mut garbage);
            let (mut now, mut full_at, mut passed) = (NOW, None, 0_i64);
            for _ in 0..2_000 {
                now += i64::try_from(garbage.below(quota.interval_us().unsigned_abs() * 2)).unwrap();
                let (passes, next) = decide(quota, full_at, now);
                full_at = Some(next);
                passed += i64::from(passes);
                let most = i64::from(quota.requests()) + (now - NOW) / quota.interval_us();
                assert!(passed <= most, "{quota:?}: {passed} after {} µs", now - NOW);
            }
        }
    }

    #[test]
    fn who_waits_as_told_passes_and_a_moment_before_not() {
        let mut garbage = Garbage::new(7);
        for _ in 0..300 {
            let quota = any_quota(&mut garbage);
            let mut full_at = None;
            for _ in 0..quota.requests() {
                full_at = Some(decide(quota, full_at, NOW).1);
            }
            let wait = standing(quota, full_at.unwrap(), NOW).retry_after.as_micros();
            let wait = i64::try_from(wait).unwrap();
            assert!(wait > 0);
            assert!(!decide(quota, full_at, NOW + wait - 1).0, "{quota:?}");
            assert!(decide(quota, full_at, NOW + wait).0, "{quota:?}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_makes_nobody_wait_longer_than_a_window() {
        let quota = Quota::per_minute(10);
        let (_, next) = decide(quota, Some(NOW + 3_600_000_000), NOW);
        assert!(standing(quota, next, NOW).retry_after <= quota.window());
        assert!(decide(quota, Some(next), NOW + quota.window_us()).0);
        let _ = decide(quota, Some(i64::MAX), i64::MIN);
        let _ = decide(quota, Some(i64::MIN), i64::MAX);
        let _ = standing(quota, i64::MAX, i64::MIN);
        let _ = standing(quota, i64::MIN, i64::MAX);
    }

    #[test]
    fn quotas_are_brought_into_their_bounds() {
        assert_eq!(Quota::new(0, Duration::ZERO), Quota::new(1, Duration::from_secs(1)));
        assert_eq!(Quota::new(1, Duration::MAX).window(), Duration::from_secs(86_400));
    }

    fn any_quota(garbage: &mut Garbage) -> Quota {
        let requests = u32::try_from(garbage.below(1_000) + 1).unwrap();
        Quota::new(requests, Duration::from_secs(garbage.below(7_200) + 1))
    }
}
