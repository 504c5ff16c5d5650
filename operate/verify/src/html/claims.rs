//! Each claim with its evidence.

use super::text::{duration, escape, plural};
use crate::{CheckResult, Report, Status};

/// Mark and word of a status.
pub(super) fn mark(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Pass => ("✓", "passed"),
        Status::Fail => ("✕", "failed"),
        Status::Skip => ("–", "skipped"),
    }
}

/// What failed, before everything else; nothing where nothing did.
pub(super) fn refuted(report: &Report) -> String {
    let failed: String =
        report.checks.iter().filter(|c| c.status == Status::Fail).map(|check| row(check, true)).collect();
    if failed.is_empty() {
        return String::new();
    }
    format!(
        "<section class=\"refuted\" aria-label=\"Refuted claims\">\n<h2>Refuted</h2>\n<ul class=\"claims\">\n{failed}</ul>\n</section>\n"
    )
}

/// All claims, a component at a time, in the order in which they were made.
pub(super) fn section(report: &Report) -> String {
    let mut components: Vec<&str> = Vec::new();
    for check in &report.checks {
        if !components.contains(&check.component) {
            components.push(check.component);
        }
    }
    let groups: String = components.into_iter().map(|component| group(report, component)).collect();
    format!("<section>\n<h2>Claims and evidence</h2>\n{groups}</section>\n")
}

fn group(report: &Report, component: &str) -> String {
    let checks: Vec<&CheckResult> =
        report.checks.iter().filter(|check| check.component == component).collect();
    let held = checks.iter().filter(|check| check.status == Status::Pass).count();
    let count = match held == checks.len() {
        true => plural(held, "claim"),
        false => format!("{held} of {} hold", checks.len()),
    };
    let rows: String = checks.into_iter().map(|check| row(check, false)).collect();
    format!(
        "<section class=\"component\">\n<h3>{component} <small>{count}</small></h3>\n<ul class=\"claims\">\n{rows}</ul>\n</section>\n",
        component = escape(component),
    )
}

/// One claim; with its component's name where it stands outside its group.
fn row(check: &CheckResult, alone: bool) -> String {
    let (mark, word) = mark(check.status);
    let place = check.host.as_deref().unwrap_or("platform");
    let anchor = if alone { String::new() } else { format!(" id=\"{}\"", escape(&check.id)) };
    let id = match alone {
        true => format!("<a href=\"#{id}\">{id}</a>", id = escape(&check.id)),
        false => escape(&check.id),
    };
    format!(
        "<li class=\"{word}\"{anchor}>\n<span class=\"mark\" title=\"{word}\">{mark}</span>\n\
         <div><p class=\"claim\">{claim}</p><p class=\"evidence\">{evidence}</p></div>\n\
         <p class=\"origin\"><span class=\"host\">{place}</span> <span class=\"took\">{took}</span> <span class=\"id\">{id}</span></p>\n</li>\n",
        claim = escape(&check.claim),
        evidence = escape(&check.evidence),
        place = escape(place),
        took = duration(check.seconds),
    )
}
