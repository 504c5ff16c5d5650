//! How long requests took.

use std::time::Duration;

use serde_json::{Value, json};

/// Of every request, in microseconds.
#[derive(Debug, Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// One more.
    pub fn record(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// Those of another connection as well.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many in `time`, and how long they took, in milliseconds.
    pub fn summary(mut self, time: Duration) -> Value {
        self.0.sort_unstable();
        let at = |part: f64| {
            let last = self.0.len().saturating_sub(1);
            let place = (part * last as f64).round() as usize;
            self.0.get(place).map(|micros| f64::from(*micros) / 1e3)
        };
        json!({
            "requests": self.0.len(),
            "per_second": self.0.len() as f64 / time.as_secs_f64(),
            "p50": at(0.5),
            "p90": at(0.9),
            "p99": at(0.99),
            "longest": at(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let mut latencies = Latencies::default();
        for micros in (0..=1000).rev() {
            latencies.record(Duration::from_micros(micros));
        }
        let summary = latencies.summary(Duration::from_secs(2));
        assert_eq!((summary["requests"].as_u64(), summary["per_second"].as_f64()), (Some(1001), Some(500.5)));
        assert_eq!((summary["p50"].as_f64(), summary["p99"].as_f64()), (Some(0.5), Some(0.99)));
        assert_eq!(summary["longest"].as_f64(), Some(1.0));
    }
}
