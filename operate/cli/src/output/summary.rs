//! What a run over the hosts came to: for people, and as JSON.

use super::style;
use bastide_converge::run::HostOutcome;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The plan as unified diffs, one resource after the other.
pub fn plan(outcomes: &[HostOutcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        for change in &outcome.changes {
            let title = format!("{}: {} — {}", outcome.host, change.resource, change.difference.summary);
            let _ = writeln!(text, "{} {}", style::heading(&title), style::faint(&change.component));
            for line in &change.difference.lines {
                let _ = writeln!(text, "  {}", style::diff_line(line));
            }
        }
    }
    text
}

/// A table with a line a host, and what to do about failures.
pub fn table(outcomes: &[HostOutcome], verb: &str, next: &str) -> String {
    let mut text =
        format!("{:>10} {:>10} {verb:>10} {:>8} {:>9}\n", "host", "resources", "failed", "seconds");
    for outcome in outcomes {
        let count = if verb == "changed" { outcome.changed() } else { outcome.changes.len() };
        let failed = usize::from(outcome.failure.is_some());
        let line = format!(
            "{:>10} {:>10} {count:>10} {failed:>8} {:>9.2}",
            outcome.host, outcome.resources, outcome.seconds
        );
        let _ = writeln!(text, "{}", if failed > 0 { style::error(&line) } else { line });
    }
    for outcome in outcomes {
        if let Some(failure) = &outcome.failure {
            let what = failure.resource.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
            let place = style::error(&format!("{}{what}:", outcome.host));
            let _ = writeln!(text, "\n{place} {}", failure.error);
        }
    }
    if outcomes.iter().any(|outcome| outcome.failure.is_some()) {
        let _ = writeln!(
            text,
            "\nLater resources of a failed host were not touched. When the cause is gone, run `{next}` again."
        );
    }
    text
}

/// `apply --json`.
pub fn apply_json(outcomes: &[HostOutcome], seconds: f64) -> Value {
    json!({
        "hosts": outcomes.iter().map(host_json).collect::<Vec<_>>(),
        "resources": outcomes.iter().map(|o| o.resources).sum::<usize>(),
        "changed": outcomes.iter().map(HostOutcome::changed).sum::<usize>(),
        "failed": outcomes.iter().filter(|o| o.failure.is_some()).count(),
        "seconds": seconds,
    })
}

/// `plan --json`: as `apply --json`, with the differences.
pub fn plan_json(outcomes: &[HostOutcome], seconds: f64) -> Value {
    let differences: Vec<Value> = outcomes
        .iter()
        .flat_map(|outcome| outcome.changes.iter().map(move |change| (outcome, change)))
        .map(|(outcome, change)| {
            json!({
                "host": outcome.host,
                "component": change.component,
                "resource": change.resource,
                "summary": change.difference.summary,
                "lines": change.difference.lines,
            })
        })
        .collect();
    json!({
        "hosts": outcomes.iter().map(host_json).collect::<Vec<_>>(),
        "resources": outcomes.iter().map(|o| o.resources).sum::<usize>(),
        "differences": differences,
        "failed": outcomes.iter().filter(|o| o.failure.is_some()).count(),
        "seconds": seconds,
    })
}

fn host_json(outcome: &HostOutcome) -> Value {
    json!({
        "host": outcome.host,
        "resources": outcome.resources,
        "changed": outcome.changed(),
        "failed": usize::from(outcome.failure.is_some()),
        "seconds": outcome.seconds,
        "error": outcome.failure.as_ref().map(|failure| json!({
            "resource": failure.resource,
            "message": failure.error,
        })),
    })
}
