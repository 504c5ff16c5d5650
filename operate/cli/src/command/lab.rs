//! `bastide lab` and `bastide down`: the five hosts on this machine.

use crate::arguments::{Arguments, Lab as Options, LabCommand, LoginProvider, ProviderState};
use crate::exit::Exit;
use crate::operator;
use crate::output::style;
use anyhow::{Context, Result, bail};
use bastide_converge::ssh;
use bastide_lab::Lab;
use serde_json::{Map, Value, json};
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
        LabCommand::Person { provider, person, changes } => {
            show(arguments, &account(&lab, *provider, person, changes)?);
            Ok(Exit::Done)
        }
        LabCommand::Provider { provider, state, milliseconds } => {
            let fault = match state {
                ProviderState::Up => Value::Null,
                ProviderState::Down => json!({"kind": "down"}),
                ProviderState::Slow => json!({"kind": "slow", "milliseconds": milliseconds}),
            };
            let path = format!("/providers/{}/fault", provider.as_str());
            Ok(lab.tell_login_providers("PUT", &path, &fault).map(|_| Exit::Done)?)
        }
    }
}

/// What a login provider knows of a person, after the changes.
fn account(lab: &Lab, provider: LoginProvider, person: &str, changes: &[String]) -> Result<Value> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if person.is_empty() || !person.bytes().all(plain) {
        bail!("\"{person}\" is no name of a person here: write lower-case letters, digits, - and .");
    }
    let path = format!("/people/{}/{person}", provider.as_str());
    if changes.is_empty() {
        return Ok(lab.tell_login_providers("GET", &path, &Value::Null)?);
    }
    Ok(lab.tell_login_providers("PATCH", &path, &members(changes)?)?)
}

/// Members of an account: what is no JSON is a text.
fn members(changes: &[String]) -> Result<Value> {
    let member = |change: &String| {
        let (name, value) = change
            .split_once('=')
            .with_context(|| format!("write changes as NAME=VALUE, such as hidden=true, and not {change}"))?;
        Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
    };
    changes.iter().map(member).collect::<Result<Map<_, _>>>().map(Value::Object)
}

fn show(arguments: &Arguments, account: &Value) {
    if arguments.json {
        println!("{account}");
        return;
    }
    for (name, value) in account.as_object().into_iter().flatten() {
        println!("{name:>14} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
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
        println!("{}", json!({ "labs": labs }));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_person_are_json_where_they_can_be() {
        let changes =
            ["email=ada@b.test", "hidden=true", "picture=null", "given_name=A=B"].map(str::to_owned);
        let expected = json!({"email": "ada@b.test", "hidden": true, "picture": null, "given_name": "A=B"});
        assert_eq!(members(&changes).unwrap(), expected);
        assert!(members(&["hidden".to_owned()]).unwrap_err().to_string().contains("NAME=VALUE"));
    }
}
