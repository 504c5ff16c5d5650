//! How many commands were answered, and how many were not.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    instance: &'static str,
    result: &'static str,
}

/// Counts of this process, by instance.
#[derive(Debug, Clone, Default)]
pub struct Counts(Family<Labels, Counter>);

impl Counts {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("valkey_commands", "Commands to a Valkey, answered or failed", self.0.clone());
    }

    pub(super) fn of(&self, instance: &'static str) -> Outcomes {
        let with = |result| self.0.get_or_create(&Labels { instance, result }).clone();
        Outcomes { answered: with("answered"), failed: with("failed") }
    }
}

/// The counts of one instance.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    answered: Counter,
    failed: Counter,
}

impl Outcomes {
    pub(super) fn count(&self, answered: bool) {
        if answered { &self.answered } else { &self.failed }.inc();
    }
}
