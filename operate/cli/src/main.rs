//! The `bastide` command: parses, calls, prints.

mod agent;
mod arguments;
mod command;
mod exit;
mod operator;
mod output;

use arguments::{Arguments, Command};
use clap::Parser;
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Command::Agent(agent) = arguments.command {
        return agent::run(&agent);
    }
    if let Command::Probe = arguments.command {
        return agent::probe();
    }
    match run(&arguments) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("{} {error:#}", output::style::error("error:"));
            exit::of(&error).into()
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new()?;
    let exit = runtime.block_on(async {
        tokio::select! {
            exit = command::run(arguments) => exit,
            _ = tokio::signal::ctrl_c() => Err(exit::Interrupted.into()),
        }
    });
    // Probes and pings that still wait for an answer are not worth waiting for.
    runtime.shutdown_background();
    exit
}
