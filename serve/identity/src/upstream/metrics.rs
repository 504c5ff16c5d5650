//! What the metrics say of login providers: how they are asked and answer, and how long the issuer's credentials last.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use time::{OffsetDateTime, Time};

use super::health::Standing;
use super::source::Source;
use crate::settings::Credential;

const DAY: f64 = 86_400.0;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProviderLabels {
    provider: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CredentialLabels {
    provider: String,
    credential: &'static str,
}

/// Reads everything when it is asked for.
#[derive(Debug)]
pub struct Reading(pub Arc<[Source]>);

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let labels = |source: &Source| ProviderLabels { provider: source.provider.name.clone() };
        let help = "Whether people can sign in with a login provider, as far as is known";
        let mut metric = encoder.encode_descriptor("login_provider_up", help, None, MetricType::Gauge)?;
        for source in &*self.0 {
            let up = i64::from(source.wire.health.standing() == Standing::Ok);
            ConstGauge::new(up).encode(metric.encode_family(&labels(source))?)?;
        }
        let counters = [
            ("login_provider_requests", "Requests to login providers", false),
            ("login_provider_failures", "Requests to login providers that had no good answer", true),
        ];
        for (name, help, is_failures) in counters {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for source in &*self.0 {
                let counter = if is_failures { &source.wire.failures } else { &source.wire.requests };
                ConstCounter::new(counter.get()).encode(metric.encode_family(&labels(source))?)?;
            }
        }
        let help = "Days until a credential of the issuer stops working at a login provider";
        let mut metric = encoder.encode_descriptor("credential_days_left", help, None, MetricType::Gauge)?;
        for source in &*self.0 {
            let now = source.clock.now();
            for (credential, ends) in ends(source, now) {
                let labels = CredentialLabels { provider: source.provider.name.clone(), credential };
                let days = (ends - now).as_seconds_f64() / DAY;
                ConstGauge::new(days).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// When each of a provider's credentials stops working, as far as is known.
fn ends(source: &Source, now: OffsetDateTime) -> Vec<(&'static str, OffsetDateTime)> {
    let (name, own) = match &source.provider.credential {
        Credential::Secret(_) => ("secret", None),
        Credential::Certificate(certified) => ("certificate", Some(("certificate", certified.not_after))),
        Credential::SigningKey(_) => {
            ("key", source.own_secret(now).ok().map(|(_, ends)| ("client-secret", ends)))
        }
    };
    let configured = source.provider.expires.map(|day| (name, day.with_time(Time::MIDNIGHT).assume_utc()));
    match (configured, own) {
        // The same thing has one end: the earlier one.
        (Some((_, day)), Some((own, ends))) if own == name => vec![(name, day.min(ends))],
        (configured, own) => configured.into_iter().chain(own).collect(),
    }
}
