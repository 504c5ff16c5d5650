//! The agent's side of the program, on a host.

use crate::arguments::{Agent, AgentCommand};
use bastide_converge::agent;
use std::io::{self, Read};
use std::process::ExitCode;
use std::sync::Arc;

/// Does what the operator's machine asks of the agent.
pub fn run(arguments: &Agent) -> ExitCode {
    let outcome = match &arguments.command {
        AgentCommand::Serve => {
            agent::serve(io::stdin(), io::stdout(), Arc::new(bastide_verify::probe::answer_blocking))
                .map_err(|error| error.to_string())
        }
        AgentCommand::Confirm { token } => agent::confirm(token).map_err(|error| error.to_string()),
        AgentCommand::Revert => agent::revert().map_err(|error| error.to_string()),
    };
    report(outcome)
}

/// Makes one probe: JSON on standard input, its finding on standard output.
pub fn probe() -> ExitCode {
    let mut text = String::new();
    let outcome = io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str(&text).map_err(|error| error.to_string()))
        .map(|question| println!("{}", bastide_verify::probe::answer_blocking(question)));
    report(outcome)
}

fn report(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent: {error}");
            ExitCode::FAILURE
        }
    }
}
