//! The runner: all checks at once, each with a deadline of its own.

use crate::{Check, CheckResult, Failure, Field, Report, Status};
use futures_util::stream::{self, StreamExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a check may take, and how many run at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A check that takes longer fails.
    pub deadline: Duration,
    /// Checks that run at the same time.
    pub parallel: usize,
}

impl Default for Limits {
    /// Enough for a scan of every port, and few enough for a small server's connection limits.
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), parallel: 64 }
    }
}

/// Runs `checks` and tells `each` of every result as it comes; the report has them in the order of the checks.
pub async fn run(
    field: Arc<Field>,
    checks: Vec<Check>,
    limits: Limits,
    mut each: impl FnMut(&CheckResult),
) -> Report {
    let began = Instant::now();
    let running = checks.into_iter().enumerate().map(|(place, check)| {
        let field = field.clone();
        async move { (place, run_one(field, check, limits.deadline).await) }
    });
    let mut running = stream::iter(running).buffer_unordered(limits.parallel.max(1));
    let mut results = Vec::new();
    while let Some((place, result)) = running.next().await {
        each(&result);
        results.push((place, result));
    }
    results.sort_by_key(|(place, _)| *place);
    Report::new(results.into_iter().map(|(_, result)| result).collect(), began.elapsed().as_secs_f64())
}

async fn run_one(field: Arc<Field>, check: Check, deadline: Duration) -> CheckResult {
    let began = Instant::now();
    let run = check.run.clone();
    // A task of its own, so that a panic ends this check alone.
    let mut task = tokio::spawn(async move { run(field).await });
    let outcome = tokio::time::timeout(deadline, &mut task).await;
    task.abort();
    let (status, evidence) = match outcome {
        Ok(Ok(Ok(evidence))) => (Status::Pass, evidence),
        Ok(Ok(Err(Failure::Refuted(found)))) => (Status::Fail, found),
        Ok(Ok(Err(Failure::Impossible(reason)))) => (Status::Skip, reason),
        Ok(Err(panic)) => (Status::Fail, format!("not proven: the check itself broke: {panic}")),
        Err(_) => (Status::Fail, format!("not proven: no answer within {} s", deadline.as_secs())),
    };
    let seconds = (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let Check { id, component, host, claim, .. } = check;
    CheckResult { id, host, component, status, claim, evidence, seconds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn check<F, Fut>(id: &str, run: F) -> Check
    where
        F: Fn(Arc<Field>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, Failure>> + Send + 'static,
    {
        Check::new(id, "test", None, "a claim", run)
    }

    #[tokio::test]
    async fn every_end_of_a_check_is_counted_for_what_it_is() {
        let checks = vec![
            check("never", |_| std::future::pending()),
            check("holds", |_| async { Ok("seen".to_owned()) }),
            check("refuted", |_| async { Err(Failure::Refuted("seen otherwise".to_owned())) }),
            check("impossible", |field| async move {
                field.connect(&crate::Vantage::Cdn, [127, 0, 0, 1].into(), 1).await?;
                Ok(String::new())
            }),
            check("panics", |_| async { panic!("a defect in the check") }),
        ];
        let limits = Limits { deadline: Duration::from_millis(200), parallel: 8 };
        let mut told = 0;
        let report = run(Arc::new(fixture::field()), checks, limits, |_| told += 1).await;
        let ends: Vec<(&str, Status)> = report.checks.iter().map(|c| (c.id.as_str(), c.status)).collect();
        let expected = [
            ("never", Status::Fail),
            ("holds", Status::Pass),
            ("refuted", Status::Fail),
            ("impossible", Status::Skip),
            ("panics", Status::Fail),
        ];
        assert_eq!(ends, expected);
        assert_eq!((report.passed, report.failed, report.skipped, told), (1, 3, 1, 5));
        assert!(report.checks[4].evidence.contains("a defect in the check"), "{}", report.checks[4].evidence);
    }

    #[test]
    fn the_report_has_the_documented_shape() {
        let result = CheckResult {
            id: "sshd/keys-only".to_owned(),
            host: Some("edge".to_owned()),
            component: "sshd",
            status: Status::Pass,
            claim: "sshd refuses passwords".to_owned(),
            evidence: "publickey".to_owned(),
            seconds: 0.25,
        };
        let json = serde_json::to_string(&Report::new(vec![result], 1.0)).unwrap();
        assert_eq!(
            json,
            r#"{"checks":[{"id":"sshd/keys-only","host":"edge","component":"sshd","status":"pass","claim":"sshd refuses passwords","evidence":"publickey","seconds":0.25}],"passed":1,"failed":0,"skipped":0}"#
        );
    }
}
