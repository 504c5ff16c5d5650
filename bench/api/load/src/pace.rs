//! When requests fall due.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// When those of one connection fall due: at fixed moments, whether or not the one before was answered.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    next: Instant,
    step: Duration,
}

impl Pace {
    /// Connections share the rate, each with moments of its own.
    pub fn new(start: Instant, rate: f64, number: usize, connections: usize) -> Self {
        let step = Duration::from_secs_f64(connections as f64 / rate);
        Self { next: start + step.mul_f64(number as f64 / connections as f64), step }
    }

    /// Waits for the next moment, and says from when the request counts: from the moment it was due, where the answer
    /// before it came late, and otherwise from when the timer let it go.
    pub async fn next(&mut self) -> Instant {
        let due = self.next;
        self.next += self.step;
        if Instant::now() > due {
            return due;
        }
        sleep_until(due).await;
        Instant::now()
    }
}
