//! `bastide ssh` and `bastide logs`: through the bastion, with pinned keys.

use crate::arguments::{Arguments, Logs, Ssh};
use crate::exit::Exit;
use crate::operator::{self, Operator};
use anyhow::{Context, Result, bail};
use bastide_platform::Host;
use tokio::process::Command;

/// Opens a shell on a host, or runs a command there.
pub async fn ssh(arguments: &Arguments, options: &Ssh) -> Result<Exit> {
    let operator = Operator::open(arguments, operator::load(arguments)?)?;
    let host = known(&operator, &options.host)?;
    let mut command = Command::new("ssh");
    command.arg("-F").arg(operator.ssh.path()).arg(host.name.as_str()).args(&options.command);
    run(command).await
}

/// Shows a unit's log on a host.
pub async fn logs(arguments: &Arguments, options: &Logs) -> Result<Exit> {
    let operator = Operator::open(arguments, operator::load(arguments)?)?;
    let host = known(&operator, &options.host)?;
    let mut command = Command::new("ssh");
    command.arg("-F").arg(operator.ssh.path()).arg(host.name.as_str());
    if host.ssh.user != "root" {
        command.args(["sudo", "-n"]);
    }
    command.args(["journalctl", "--no-pager", "--lines", &options.lines.to_string()]);
    if let Some(unit) = &options.unit {
        if !unit.chars().all(|c| c.is_ascii_alphanumeric() || "@.-_:".contains(c)) {
            bail!("`{unit}` is not the name of a unit");
        }
        command.args(["--unit", unit]);
    }
    if options.follow {
        command.arg("--follow");
    }
    run(command).await
}

fn known<'a>(operator: &'a Operator, name: &str) -> Result<&'a Host> {
    let names: Vec<&str> = operator.platform.hosts.iter().map(|host| host.name.as_str()).collect();
    operator
        .platform
        .host(name)
        .with_context(|| format!("there is no host `{name}` in this platform; it has {}", names.join(", ")))
}

async fn run(mut command: Command) -> Result<Exit> {
    let status = command.status().await.context("start ssh")?;
    Ok(if status.success() { Exit::Done } else { Exit::Failed })
}
