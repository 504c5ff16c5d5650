//! `bastide-authentik`: looks at Authentik, or makes it what the platform file says.

use anyhow::{Context as _, Result};
use bastide_authentik::{Api, Mode, Wanted, converge};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long Authentik may take to answer when it starts for the first time.
const PATIENCE: Duration = Duration::from_secs(300);
/// What was last applied, secrets included: its SHA-256.
const APPLIED: &str = "/var/lib/bastide/authentik.applied";

/// Makes Authentik what the platform file says.
#[derive(Parser)]
#[command(name = "bastide-authentik", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what differs; ends with 3 where something does
    Check {
        /// What is wanted, as `bastide` wrote it
        wanted: PathBuf,
    },
    /// Make what differs
    Apply {
        /// What is wanted, as `bastide` wrote it
        wanted: PathBuf,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Command::Check { wanted } => check(wanted).await,
        Command::Apply { wanted } => apply(wanted).await,
    };
    done.unwrap_or_else(|error| {
        eprintln!("bastide-authentik: {error:#}");
        ExitCode::FAILURE
    })
}

async fn check(path: &Path) -> Result<ExitCode> {
    let (wanted, secrets) = Wanted::read(path)?;
    let api = Api::new(&wanted, &secrets)?;
    let mut changes = converge(&api, &wanted, &secrets, Mode::Check).await?;
    if !is_applied(&wanted.digest(&secrets)) {
        changes.push("what is wanted has changed since it was applied".to_owned());
    }
    changes.iter().for_each(|change| println!("{change}"));
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

async fn apply(path: &Path) -> Result<ExitCode> {
    let (wanted, secrets) = Wanted::read(path)?;
    let api = Api::new(&wanted, &secrets)?;
    api.wait(PATIENCE).await.context("wait for Authentik; see `journalctl -u 'authentik@*'`")?;
    let digest = wanted.digest(&secrets);
    let mode = Mode::Apply { anew: !is_applied(&digest) };
    let changes = converge(&api, &wanted, &secrets, mode).await?;
    changes.iter().for_each(|change| println!("{change}"));
    std::fs::write(APPLIED, digest).with_context(|| format!("remember in {APPLIED} what was applied"))?;
    Ok(ExitCode::SUCCESS)
}

fn is_applied(digest: &str) -> bool {
    std::fs::read_to_string(APPLIED).is_ok_and(|applied| applied == digest)
}
