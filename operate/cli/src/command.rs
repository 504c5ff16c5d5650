//! The commands: one file each.

mod apply;
mod identity;
mod init;
mod lab;
mod lint;
mod plan;
mod resources;
mod secrets;
mod shell;
mod status;
mod up;
mod verify;

use crate::arguments::{Arguments, Command};
use crate::exit::Exit;
use anyhow::Result;

/// Runs the command that `arguments` name.
pub async fn run(arguments: &Arguments) -> Result<Exit> {
    match &arguments.command {
        Command::Init(options) => init::run(arguments, options),
        Command::Lint => lint::run(arguments),
        Command::Plan(options) => plan::run(arguments, options).await,
        Command::Resources => resources::run(arguments),
        Command::Up => up::run(arguments).await,
        Command::Apply => apply::run(arguments).await,
        Command::Verify(options) => verify::run(arguments, options).await,
        Command::Status => status::run(arguments).await,
        Command::Ssh(options) => shell::ssh(arguments, options).await,
        Command::Logs(options) => shell::logs(arguments, options).await,
        Command::Identity(options) => identity::run(arguments, options).await,
        Command::Secrets(options) => secrets::run(arguments, options),
        Command::Lab(options) => lab::run(arguments, options),
        Command::Down => lab::down(arguments).await,
        Command::Agent(_) | Command::Probe => Ok(Exit::Usage),
    }
}
