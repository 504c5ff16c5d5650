//! `bastide plan`: what differs, and nothing else.

use crate::arguments::{Arguments, Plan};
use crate::exit::Exit;
use crate::operator::{self, Operator};
use crate::output::progress::Hosts;
use crate::output::{style, summary};
use anyhow::Result;
use bastide_components::Step;
use bastide_converge::protocol::Mode;
use bastide_converge::run::Progress;
use std::sync::Arc;
use std::time::Instant;

/// Shows what differs between the hosts and the platform file.
pub async fn run(arguments: &Arguments, options: &Plan) -> Result<Exit> {
    let started = Instant::now();
    let platform = operator::load(arguments)?;
    operator::refuse_errors(&platform)?;
    let operator = Operator::open(arguments, platform)?;
    let resources = operator.resources(Step::Application)?;
    let fleet = operator.connect().await?;
    let progress: Arc<dyn Progress> = Arc::new(Hosts::new());
    let outcomes = fleet.converge(Mode::Plan, resources, &operator.blobs, &progress).await;
    let seconds = started.elapsed().as_secs_f64();
    let failed = outcomes.iter().any(|outcome| outcome.failure.is_some());
    let differences: usize = outcomes.iter().map(|outcome| outcome.changes.len()).sum();
    if arguments.json {
        println!("{}", summary::plan_json(&outcomes, seconds));
    } else {
        print!("{}", summary::plan(&outcomes));
        eprint!("{}", summary::table(&outcomes, "differ", "bastide plan"));
        let verdict = match differences {
            _ if failed => style::error("not every host could be read"),
            0 => style::good("the hosts are as the platform file says"),
            count => format!("{count} resource(s) differ; `bastide apply` changes them"),
        };
        eprintln!("{verdict} ({seconds:.2} s)");
    }
    if failed {
        return Ok(Exit::Failed);
    }
    Ok(if options.exit_code && differences > 0 { Exit::Differences } else { Exit::Done })
}
