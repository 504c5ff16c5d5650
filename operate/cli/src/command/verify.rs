//! `bastide verify`: every claim, by live traffic.

use crate::arguments::{Arguments, Verify};
use crate::exit::Exit;
use crate::operator::{self, Operator};
use crate::output::progress::Counter;
use crate::output::style;
use anyhow::{Context, Result};
use bastide_components::Step;
use bastide_verify::html::Page;
use bastide_verify::{Check, Field, Limits, Report, Status};
use serde_json::json;
use std::sync::Arc;

/// Runs every check and prints what was found.
pub async fn run(arguments: &Arguments, options: &Verify) -> Result<Exit> {
    let platform = operator::load(arguments)?;
    let operator = Operator::open(arguments, platform)?;
    let mut checks = all_checks(&operator);
    if let Some(text) = &options.only {
        checks.retain(|check| check.id.contains(text.as_str()));
    }
    if options.list {
        print_claims(arguments, &checks);
        return Ok(Exit::Done);
    }
    let fleet = operator.connect().await?;
    let field = operator.field(&fleet).await?;
    let report = run_checks(Arc::clone(&field), checks).await;
    if let Some(path) = &options.html {
        let page = page(&field, &report);
        std::fs::write(path, page).with_context(|| format!("write the report to {}", path.display()))?;
        eprintln!("report: {}", path.display());
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print_all(&report);
    }
    Ok(if report.failed > 0 { Exit::CheckFailed } else { Exit::Done })
}

/// The report as a page.
fn page(field: &Field, report: &Report) -> String {
    let traffic = field.measured_traffic();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let page = Page {
        report,
        platform: &field.platform,
        flows: &field.flows,
        traffic: traffic.as_deref(),
        now: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
    };
    page.render()
}

/// The checks of every component, and of the traffic between all places.
pub fn all_checks(operator: &Operator) -> Vec<Check> {
    let context = operator.context();
    let mut checks: Vec<Check> =
        Step::ALL.into_iter().flat_map(|step| bastide_components::checks(&context, step)).collect();
    checks.extend(bastide_verify::reachability::checks(&operator.platform));
    checks
}

/// Prints what `checks` claim, without making them.
fn print_claims(arguments: &Arguments, checks: &[Check]) {
    if arguments.json {
        let claims: Vec<_> = checks
            .iter()
            .map(|check| {
                json!({ "id": check.id, "host": check.host, "component": check.component, "claim": check.claim })
            })
            .collect();
        println!("{}", json!({ "checks": claims }));
        return;
    }
    for check in checks {
        let host = check.host.as_deref().unwrap_or("platform");
        println!("{:<44} {host:<10} {}", check.id, check.claim);
    }
}

/// Runs `checks` in parallel.
pub async fn run_checks(field: Arc<Field>, checks: Vec<Check>) -> Report {
    let bar = Counter::new(checks.len());
    let report = bastide_verify::run(field, checks, Limits::default(), |result| bar.one(&result.claim)).await;
    bar.end();
    report
}

/// Prints the checks that failed.
pub fn print_failures(report: &Report) {
    for result in report.checks.iter().filter(|result| result.status == Status::Fail) {
        let host = result.host.as_deref().unwrap_or("platform");
        eprintln!("{} {} ({host}): {}", style::error("✗"), result.id, result.claim);
        eprintln!("  found: {}", result.evidence);
    }
}

fn print_all(report: &Report) {
    for result in &report.checks {
        let mark = match result.status {
            Status::Pass => style::good("✓"),
            Status::Skip => style::warning("–"),
            Status::Fail => continue,
        };
        println!(
            "{mark} {} {}",
            result.claim,
            style::faint(&format!("[{}] {}", result.id, result.evidence.replace('\n', "; ")))
        );
    }
    print_failures(report);
    let verdict = format!("{} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped);
    let verdict = if report.failed > 0 { style::error(&verdict) } else { style::good(&verdict) };
    println!("{verdict} ({:.1} s)", report.seconds);
}
