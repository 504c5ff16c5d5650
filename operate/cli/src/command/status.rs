//! `bastide status`: where the platform answers, and what runs where in which version.

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::operator::{self, Operator};
use crate::output::style;
use anyhow::Result;
use bastide_platform::Role;
use bastide_verify::Vantage;
use bastide_verify::probe::Command;
use serde_json::{Value, json};

/// Asks every host what runs on it.
pub async fn run(arguments: &Arguments) -> Result<Exit> {
    let operator = Operator::open(arguments, operator::load(arguments)?)?;
    let fleet = operator.connect().await?;
    let field = operator.field(&fleet).await?;
    let platform = &operator.platform;
    let mut hosts = Vec::new();
    let mut components = Vec::new();
    let mut release = Value::Null;
    for host in &platform.hosts {
        let session = fleet.session(host.name.as_str());
        hosts.push(json!({
            "host": host.name, "roles": host.roles, "address": host.address,
            "public_address": host.public_address, "os": host.os,
            "reachable": session.is_ok(), "error": session.err().map(|error| error.to_string()),
        }));
        for software in bastide_components::installed(host) {
            let command = Command::new(&["dpkg-query", "--show", "--showformat=${Version}", software.package]);
            let outcome = field.run(&Vantage::host(&host.name), command).await;
            let version = outcome.ok().filter(|o| o.exit == Some(0)).map(|o| o.stdout);
            components.push(json!({ "host": host.name, "component": software.component, "version": version }));
        }
        if host.has(Role::App) && session_is_open(&fleet, host.name.as_str()) {
            release = running_release(&field, host.name.as_str()).await;
        }
    }
    let reachable = hosts.iter().all(|host| host["reachable"] == json!(true));
    let document = json!({
        "url": platform.url(), "issuer": format!("https://id.{}", platform.domain),
        "hosts": hosts, "components": components, "release": release,
    });
    if arguments.json {
        println!("{document}");
    } else {
        print(&document);
    }
    Ok(if reachable { Exit::Done } else { Exit::Failed })
}

fn session_is_open(fleet: &bastide_converge::run::Fleet, host: &str) -> bool {
    fleet.session(host).is_ok()
}

/// The container that serves: its slot and its image.
async fn running_release(field: &bastide_verify::Field, host: &str) -> Value {
    let argv = ["docker", "ps", "--filter", "name=^app-(blue|green)$", "--format", "{{.Names}} {{.Image}}"];
    let outcome = field.command(host, &argv).await;
    let line = outcome.map(|outcome| outcome.stdout).unwrap_or_default();
    match line.trim().split_once(' ') {
        Some((name, image)) => json!({ "slot": name.trim_start_matches("app-"), "image": image }),
        None => Value::Null,
    }
}

fn print(document: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    println!("{} {}", style::heading("url"), text(&document["url"]));
    for host in document["hosts"].as_array().into_iter().flatten() {
        let state = if host["reachable"] == json!(true) { style::good("reachable") } else { style::error("lost") };
        println!("{:>10} {:<12} {state}", text(&host["host"]), text(&host["address"]));
        for component in document["components"].as_array().into_iter().flatten() {
            if component["host"] == host["host"] {
                println!("{:>10} {:<12} {}", "", text(&component["component"]), text(&component["version"]));
            }
        }
    }
    if !document["release"].is_null() {
        println!("{} {} ({})", style::heading("release"), text(&document["release"]["image"]), text(&document["release"]["slot"]));
    }
}
