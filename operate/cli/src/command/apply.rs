//! `bastide apply`: make the differences go away.

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::operator::{self, Operator};
use crate::output::progress::Hosts;
use crate::output::{style, summary};
use anyhow::Result;
use bastide_components::Step;
use bastide_converge::protocol::Mode;
use bastide_converge::run::{self, Fleet, HostOutcome, Progress};
use std::sync::Arc;
use std::time::Instant;

/// Makes the hosts as the platform file says.
pub async fn run(arguments: &Arguments) -> Result<Exit> {
    let started = Instant::now();
    let platform = operator::load(arguments)?;
    operator::refuse_errors(&platform)?;
    let operator = Operator::open(arguments, platform)?;
    let resources = operator.resources(Step::Application)?;
    let mut fleet = operator.connect().await?;
    fleet.lock(&operator::holder()).await;
    let progress: Arc<dyn Progress> = Arc::new(Hosts::new());
    // Most runs find nothing to do: one look at all hosts at once tells. Only where something differs are the
    // steps taken one after the other, because a private host reaches its packages through the edge.
    let mut outcomes = fleet.converge(Mode::Plan, resources, &operator.blobs, &progress).await;
    if outcomes.iter().any(|outcome| !outcome.changes.is_empty()) {
        outcomes = step_by_step(&operator, &fleet, &progress).await?;
    }
    report(arguments, &outcomes, started.elapsed().as_secs_f64());
    Ok(if outcomes.iter().any(|outcome| outcome.failure.is_some()) { Exit::Failed } else { Exit::Done })
}

/// Takes every step on all hosts; a host that failed is left alone by the later steps.
async fn step_by_step(
    operator: &Operator,
    fleet: &Fleet,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<HostOutcome>> {
    let mut total: Vec<HostOutcome> = Vec::new();
    for step in Step::ALL {
        let failed =
            |host: &str| total.iter().any(|outcome| outcome.host == host && outcome.failure.is_some());
        let resources = operator.resources(step)?.into_iter().filter(|(host, _)| !failed(host)).collect();
        let outcomes = fleet.converge(Mode::Apply, resources, &operator.blobs, progress).await;
        run::absorb(&mut total, outcomes);
    }
    Ok(total)
}

fn report(arguments: &Arguments, outcomes: &[HostOutcome], seconds: f64) {
    if arguments.json {
        println!("{}", summary::apply_json(outcomes, seconds));
        return;
    }
    eprint!("{}", summary::table(outcomes, "changed", "bastide apply"));
    let changed: usize = outcomes.iter().map(HostOutcome::changed).sum();
    if outcomes.iter().all(|outcome| outcome.failure.is_none()) {
        eprintln!("{} ({seconds:.2} s)", style::good(&format!("{changed} changed")));
    }
}
