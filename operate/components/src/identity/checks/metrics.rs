//! What the issuer says of itself in numbers: what will stop working, and what should have been replaced.

use super::{Subject, metrics_text};
use crate::probing::refuted;
use bastide_verify::{Evidence, Failure, Field};
use std::sync::Arc;

/// Days that every credential must last: time to ask a provider for another one.
const LEAST_DAYS: f64 = 30.0;
const DAYS_LEFT: &str = "identity_credential_days_left";
/// Days after which a signing key should have had a successor: a month, and a margin for an issuer that was down.
const OLDEST_KEY: f64 = 35.0;
const KEY_AGE: &str = "identity_signing_key_age_seconds";
const DAY: f64 = 86_400.0;

pub(super) async fn credentials_last(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    judge_credentials(&metrics_text(&field, &subject).await?)
}

pub(super) async fn signing_keys_rotate(
    field: Arc<Field>,
    subject: Arc<Subject>,
) -> Result<Evidence, Failure> {
    judge_keys(&metrics_text(&field, &subject).await?)
}

/// Labels and values of a gauge in the text format of Prometheus.
fn gauge<'a>(text: &'a str, name: &str) -> Result<Vec<(&'a str, f64)>, Failure> {
    if !text.lines().any(|line| line == format!("# TYPE {name} gauge")) {
        return Err(Failure::Impossible(format!("the issuer does not show {name}")));
    }
    let samples = text.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        Some((labels, value))
    });
    samples
        .map(|(labels, value)| match value.parse() {
            Ok(value) => Ok((labels, value)),
            Err(_) => refuted(format!("not proven: {name}{labels} is {value}")),
        })
        .collect()
}

fn judge_credentials(text: &str) -> Result<Evidence, Failure> {
    let samples = gauge(text, DAYS_LEFT)?;
    let first = samples.iter().min_by(|(_, one), (_, other)| one.total_cmp(other));
    match first {
        None => Ok("no credential has a day on which it ends".to_owned()),
        Some((labels, days)) if *days < LEAST_DAYS => {
            refuted(format!("{labels} lasts for {days:.0} days; replace it at the provider, then apply"))
        }
        Some((labels, days)) => {
            Ok(format!("{} credentials end; the first, {labels}, in {days:.0} days", samples.len()))
        }
    }
}

fn judge_keys(text: &str) -> Result<Evidence, Failure> {
    let samples = gauge(text, KEY_AGE)?;
    let days = |(_, seconds): &(&str, f64)| seconds / DAY;
    match samples.iter().map(days).max_by(f64::total_cmp) {
        None => refuted("not proven: it shows no age of any key"),
        Some(oldest) if oldest > OLDEST_KEY => refuted(format!("a key has signed for {oldest:.0} days")),
        Some(oldest) => Ok(format!("the oldest key that signs is {oldest:.0} days old")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, labels: &str, value: &str) -> String {
        format!("# HELP {name} x.\n# TYPE {name} gauge\n{name}{labels} {value}\n# EOF\n")
    }

    #[test]
    fn a_credential_that_ends_soon_is_noticed() {
        let labels = "{provider=\"microsoft\",credential=\"certificate\"}";
        assert!(judge_credentials(&text(DAYS_LEFT, labels, "30.5")).is_ok());
        let soon = judge_credentials(&text(DAYS_LEFT, labels, "29.9")).unwrap_err();
        assert!(matches!(&soon, Failure::Refuted(seen) if seen.contains("microsoft")), "{soon:?}");
        assert!(judge_credentials(&text(DAYS_LEFT, labels, "NaN?")).is_err());
        let none = format!("# TYPE {DAYS_LEFT} gauge\n# EOF\n");
        assert!(judge_credentials(&none).is_ok(), "secrets without an end");
        assert!(matches!(judge_credentials("# EOF\n"), Err(Failure::Impossible(_))));
    }

    #[test]
    fn a_key_that_was_not_rotated_is_noticed() {
        let of = |days: f64| judge_keys(&text(KEY_AGE, "{algorithm=\"ES256\"}", &(days * DAY).to_string()));
        assert!(of(30.9).is_ok());
        assert!(of(35.1).is_err());
        assert!(matches!(judge_keys("# EOF\n"), Err(Failure::Impossible(_))));
    }
}
