//! `bastide lab` and `bastide down`: the five hosts on this machine.

use crate::arguments::{Arguments, Lab as Options, LabCommand};
use crate::exit::Exit;
use crate::operator;
use crate::output::style;
use anyhow::{Context, Result, bail};
use bastide_converge::ssh;
use bastide_lab::Lab;
use std::process::ExitStatus;

/// Does what the person asks of the lab.
pub fn run(arguments: &Arguments, options: &Options) -> Result<Exit> {
    match options.command {
        LabCommand::Status => return status(arguments),
        LabCommand::ServersRoot => return servers_root(),
        _ => {}
    }
    let platform = operator::load(arguments)?;
    if matches!(options.command, LabCommand::Up) {
        operator::boot(&platform)?;
        return Ok(Exit::Done);
    }
    let lab = operator::existing(&platform)?;
    match &options.command {
        LabCommand::Up | LabCommand::Status | LabCommand::ServersRoot => Ok(Exit::Done),
        LabCommand::Shell { host } => Ok(exit(lab.shell(host)?)),
        LabCommand::Exec { host, command } => {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            Ok(exit(lab.exec_attached(host, &command)?))
        }
        LabCommand::Partition { a, b } => Ok(lab.partition(a, b).map(|()| Exit::Done)?),
        LabCommand::Heal => Ok(lab.heal().map(|()| Exit::Done)?),
        LabCommand::Kill { host } => Ok(lab.kill(host).map(|()| Exit::Done)?),
        LabCommand::Start { host } => Ok(lab.start(host).map(|()| Exit::Done)?),
    }
}

/// Takes the lab of the platform down.
pub async fn down(arguments: &Arguments) -> Result<Exit> {
    let platform = operator::load(arguments)?;
    if platform.settings.lab.is_none() {
        bail!("`bastide down` takes a lab down, and {} describes real servers", arguments.platform.display());
    }
    let Ok(lab) = Lab::open(&platform.name) else {
        eprintln!("the lab `{}` is not up", platform.name);
        return Ok(Exit::Done);
    };
    let connections = operator::connections(&lab);
    if connections.exists() {
        ssh::close_shared_connections(&connections).with_context(|| {
            format!("end the SSH connections to the lab's hosts in {}", connections.display())
        })?;
    }
    tokio::task::spawn_blocking(move || lab.down(&|line| eprintln!("{:>10} {line}", "lab"))).await??;
    Ok(Exit::Done)
}

fn status(arguments: &Arguments) -> Result<Exit> {
    let labs = Lab::list()?.iter().map(|name| Ok(Lab::open(name)?.status())).collect::<Result<Vec<_>>>()?;
    if arguments.json {
        println!("{}", serde_json::json!({ "labs": labs }));
        return Ok(Exit::Done);
    }
    if labs.is_empty() {
        println!("no lab is up on this machine");
    }
    for lab in labs {
        println!("{} {}", style::heading(&lab.name), lab.domain);
        for machine in lab.machines {
            let state = if machine.running { style::good("running") } else { style::error("stopped") };
            let addresses: Vec<String> = machine.addresses.iter().map(ToString::to_string).collect();
            println!("{:>10} {state} {}", machine.name, addresses.join(", "));
        }
    }
    Ok(Exit::Done)
}

fn servers_root() -> Result<Exit> {
    let root = bastide_lab::servers_root(&|line| eprintln!("{:>10} {line}", "lab"))?;
    println!("{}", root.display());
    Ok(Exit::Done)
}

fn exit(status: ExitStatus) -> Exit {
    if status.success() { Exit::Done } else { Exit::Failed }
}
