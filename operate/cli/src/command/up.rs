//! `bastide up`: from bare hosts to a URL, each step verified before the next.

use super::verify;
use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::operator::{self, Operator};
use crate::output::progress::Hosts;
use crate::output::{style, summary};
use anyhow::Result;
use bastide_components::Step;
use bastide_converge::protocol::Mode;
use bastide_converge::run::{self, HostOutcome, Progress};
use bastide_lab::Lab;
use bastide_platform::LoginProvider;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// Boots the lab where the platform is one, then takes every step and verifies it.
pub async fn run(arguments: &Arguments) -> Result<Exit> {
    let started = Instant::now();
    let mut timings = Vec::new();
    let platform = operator::load(arguments)?;
    operator::refuse_errors(&platform)?;
    if platform.settings.lab.is_some() {
        eprintln!("{}", style::heading("The lab: five hosts and the world around them"));
        let boot = platform.clone();
        tokio::task::spawn_blocking(move || operator::boot(&boot)).await??;
        timings.push(("lab".to_owned(), started.elapsed().as_secs_f64()));
    }
    let operator = Operator::open(arguments, platform)?;
    let mut fleet = operator.connect().await?;
    fleet.lock(&operator::holder()).await;
    let mut totals: Vec<HostOutcome> = Vec::new();
    let mut checked = 0;
    for (number, step) in Step::ALL.into_iter().enumerate() {
        let begun = Instant::now();
        eprintln!(
            "{}",
            style::heading(&format!("Step {} of {}: {}", number + 1, Step::ALL.len(), step.title()))
        );
        let progress: Arc<dyn Progress> = Arc::new(Hosts::new());
        let resources = operator.resources(step)?;
        let outcomes = fleet.converge(Mode::Apply, resources, &operator.blobs, &progress).await;
        if outcomes.iter().any(|outcome| outcome.failure.is_some()) {
            eprint!("{}", summary::table(&outcomes, "changed", "bastide up"));
            return Ok(Exit::Failed);
        }
        let built = begun.elapsed().as_secs_f64();
        let field = operator.field(&fleet).await?;
        let checks = match step {
            Step::Application => verify::all_checks(&operator),
            _ => bastide_components::checks(&operator.context(), step),
        };
        let report = verify::run_checks(field, checks).await;
        verify::print_failures(&report);
        if report.failed > 0 {
            return Ok(Exit::CheckFailed);
        }
        checked = report.passed;
        let proven = begun.elapsed().as_secs_f64() - built;
        timings.push((format!("{step:?}").to_lowercase(), built + proven));
        eprintln!("{} built in {built:.1} s, {} checks in {proven:.1} s", style::good("✓"), report.passed);
        run::absorb(&mut totals, outcomes);
    }
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        let mut document = summary::apply_json(&totals, seconds);
        document["url"] = json!(operator.platform.url());
        document["steps"] =
            timings.iter().map(|(name, seconds)| json!({"step": name, "seconds": seconds})).collect();
        println!("{document}");
        return Ok(Exit::Done);
    }
    let spent: Vec<String> = timings.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
    eprintln!("\n{} in {seconds:.1} s ({})", style::good("The platform is up"), spent.join(", "));
    eprintln!("{checked} checks passed; `bastide verify --html report.html` shows the evidence.");
    println!("{}", operator.platform.url());
    if let Some(lab) = operator.lab.as_ref().filter(|lab| lab.spec().cdn) {
        eprintln!("try: curl --cacert {} {}", lab.cdn_authority().display(), operator.platform.url());
    }
    if let Some(lab) = &operator.lab {
        eprint!("{}", how_to_sign_in(&operator, lab));
    }
    Ok(Exit::Done)
}

/// How a person signs in, where that is at the lab's own login providers.
fn how_to_sign_in(operator: &Operator, lab: &Lab) -> String {
    let platform = &operator.platform;
    let own = lab.login_providers();
    let is_own = |login: &&LoginProvider| {
        login.at.as_ref().is_some_and(|at| own.iter().any(|known| known.host == at.host()))
    };
    let logins = platform.settings.identity.providers.iter().filter(is_own);
    let names: Vec<&str> = logins.map(|login| login.provider.as_str()).collect();
    if names.is_empty() || !platform.signs_in_at_own_issuer() {
        return String::new();
    }
    let authorities = platform.settings.app.extra_authority.as_deref().map(|path| platform.resolve(path));
    format!(
        "sign in: in a browser on this machine that trusts {}, open {}/sign-in, choose one of {}, and type any name there: \
         whoever is named has an account. `bastide lab person --help` says how to change one\n",
        authorities.unwrap_or_default().display(),
        platform.url(),
        names.join(", ")
    )
}
