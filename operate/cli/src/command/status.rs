//! `bastide status`: where the platform answers, and what runs where in which version.

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::operator::{self, Operator};
use crate::output::style;
use anyhow::Result;
use bastide_components::Step;
use bastide_converge::resource::{Resource, Spec};
use bastide_platform::{Platform, Role};
use bastide_verify::Field;
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
    for (host, (name, resources)) in platform.hosts.iter().zip(operator.resources(Step::Application)?) {
        let session = fleet.session(&name);
        hosts.push(json!({
            "host": host.name, "roles": host.roles, "address": host.address,
            "public_address": host.public_address, "os": host.os,
            "reachable": session.is_ok(), "error": session.err().map(|error| error.to_string()),
        }));
        components.extend(versions(&field, &name, &resources).await);
        if host.has(Role::App) {
            release = running_release(&field, &name).await;
        }
    }
    let reachable = hosts.iter().all(|host| host["reachable"] == json!(true));
    let document = json!({
        "url": platform.url(), "issuer": issuer(platform),
        "hosts": hosts, "components": components, "release": release,
    });
    if arguments.json {
        println!("{document}");
    } else {
        print(&document);
    }
    Ok(if reachable { Exit::Done } else { Exit::Failed })
}

/// Where people sign in to the application; null where they do not.
fn issuer(platform: &Platform) -> Option<String> {
    let elsewhere = platform.settings.app.sign_in.as_ref().map(|sign_in| sign_in.issuer.to_string());
    elsewhere.or_else(|| platform.issuer_host().map(|_| platform.app_issuer()))
}

/// The version of every component on a host that is a server with a package of its name.
async fn versions(field: &Field, host: &str, resources: &[Resource]) -> Vec<Value> {
    let servers: Vec<(&str, &str)> = resources
        .iter()
        .filter_map(|resource| match &resource.spec {
            Spec::Packages(packages) => {
                let component = resource.component.as_str();
                let server = packages.names.iter().find(|package| package.starts_with(component))?;
                Some((component, server.as_str()))
            }
            _ => None,
        })
        .collect();
    let mut argv = vec!["dpkg-query", "--show", "--showformat=${Package} ${Version}\\n"];
    argv.extend(servers.iter().map(|(_, package)| *package));
    let shown = field.command(host, &argv).await.map(|outcome| outcome.stdout).unwrap_or_default();
    let version = |package: &str| {
        shown
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(name, _)| *name == package)
            .map(|(_, v)| v)
    };
    servers
        .iter()
        .map(|(component, package)| {
            json!({ "host": host, "component": component, "package": package, "version": version(package) })
        })
        .collect()
}

/// The container that serves: its slot and its image.
async fn running_release(field: &Field, host: &str) -> Value {
    // `docker ps` shows an identity where the image's name happens to look like one.
    let script = "docker ps --quiet --filter 'name=^app-(blue|green)$' | \
                  xargs --no-run-if-empty docker inspect --format '{{slice .Name 1}} {{.Config.Image}}'";
    let argv = ["sh", "-c", script];
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
        let state =
            if host["reachable"] == json!(true) { style::good("reachable") } else { style::error("lost") };
        println!("{:>10} {:<12} {state}", text(&host["host"]), text(&host["address"]));
        for component in document["components"].as_array().into_iter().flatten() {
            if component["host"] == host["host"] {
                println!("{:>10} {:<12} {}", "", text(&component["component"]), text(&component["version"]));
            }
        }
    }
    if !document["release"].is_null() {
        println!(
            "{} {} ({})",
            style::heading("release"),
            text(&document["release"]["image"]),
            text(&document["release"]["slot"])
        );
    }
}
