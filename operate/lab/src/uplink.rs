//! The lab's way to the real internet: address translation on the machine, and nothing else changed there.

use ipnet::Ipv4Net;
use serde::Deserialize;

use crate::command::{answers_yes, run, run_with_input};
use crate::error::{LabError, Result};
use crate::network::operator_interface;
use crate::settings;
use crate::spec::{LabSpec, overlap};

/// One line of `ip -json route`.
#[derive(Debug, Deserialize)]
struct Route {
    dst: String,
    #[serde(default)]
    dev: Option<String>,
}

/// The interface of the machine's default route.
pub(crate) fn interface() -> Result<String> {
    routes()?.into_iter().find(|route| route.dst == "default").and_then(|route| route.dev).ok_or_else(|| {
        LabError::Unsupported {
            reason:
                "it has no default route, and the hosts install packages from the internet. Connect it first"
                    .to_owned(),
        }
    })
}

/// Fails if the machine uses the lab's public network for something else.
pub(crate) fn require_free(spec: &LabSpec) -> Result<()> {
    let own = operator_interface(&spec.name);
    for route in routes()? {
        let Ok(network) = route.dst.parse::<Ipv4Net>().or_else(|_| format!("{}/32", route.dst).parse())
        else {
            continue;
        };
        let device = route.dev.unwrap_or_default();
        if device != own && overlap(network, spec.public_network) {
            return Err(LabError::NetworkInUse {
                lab: spec.name.clone(),
                network: spec.public_network.to_string(),
                by: format!("{network} on interface {device}"),
            });
        }
    }
    Ok(())
}

/// Lets the lab's public addresses reach the internet through `uplink`, and nothing of the lab reach this machine.
pub(crate) fn open(spec: &LabSpec, uplink: &str) -> Result<()> {
    let interface = operator_interface(&spec.name);
    let table = table(&spec.name);
    let network = spec.public_network;
    let rules = format!(
        r#"add table ip {table}
delete table ip {table}
table ip {table} {{
	chain postrouting {{
		type nat hook postrouting priority srcnat;
		ip saddr {network} oifname != "{interface}" masquerade
	}}
	chain forward {{
		type filter hook forward priority filter;
		iifname "{interface}" ip saddr != {network} drop
		oifname "{interface}" ct state new drop
	}}
	chain input {{
		type filter hook input priority filter;
		iifname "{interface}" ct state established,related accept
		iifname "{interface}" meta l4proto icmp accept
		iifname "{interface}" drop
	}}
}}
"#
    );
    run_with_input("connect the lab to the internet", "nft", &["-f", "-"], &rules)?;
    settings::set_own(&forwarding(&interface), "1")?;
    settings::set(&forwarding(uplink), "1")?;
    pass_foreign_firewall(&interface)
}

/// Removes what [`open`] made for this lab.
pub(crate) fn close(lab: &str) -> Result<()> {
    let table = table(lab);
    if answers_yes("nft", &["list", "table", "ip", &table]) {
        run("disconnect the lab from the internet", "nft", &["delete", "table", "ip", &table])?;
    }
    leave_foreign_firewall(&operator_interface(lab))
}

fn table(lab: &str) -> String {
    format!("bastide_{}", lab.replace('-', "_"))
}

fn routes() -> Result<Vec<Route>> {
    let attempted = "read this machine's routes";
    let text = run(attempted, "ip", &["-4", "-json", "route", "show", "table", "main"])?;
    serde_json::from_str(&text).map_err(|error| LabError::Unsupported {
        reason: format!("`ip -json route` answers what cannot be read ({error}): a newer iproute2 is needed"),
    })
}

/// The switch for forwarding what comes in on `interface`. The machine-wide one would also reset other settings.
fn forwarding(interface: &str) -> String {
    format!("net/ipv4/conf/{interface}/forwarding")
}

/// A machine with Docker or ufw drops what it forwards by a policy of its own, which a rule in our table cannot lift.
fn pass_foreign_firewall(interface: &str) -> Result<()> {
    let policy = run_quietly(&["-S", "FORWARD"]);
    if !policy.lines().any(|line| line == "-P FORWARD DROP") {
        return Ok(());
    }
    for direction in ["-i", "-o"] {
        let rule = [direction, interface, "-j", "ACCEPT"];
        if !answers_yes("iptables", &[["-C", "FORWARD"].as_slice(), &rule].concat()) {
            let attempted = "let the lab through this machine's firewall";
            run(attempted, "iptables", &[["-w", "-I", "FORWARD"].as_slice(), &rule].concat())?;
        }
    }
    Ok(())
}

fn leave_foreign_firewall(interface: &str) -> Result<()> {
    let rules = run_quietly(&["-S", "FORWARD"]);
    for direction in ["-i", "-o"] {
        let rule = [direction, interface, "-j", "ACCEPT"];
        if rules.lines().any(|line| line == format!("-A FORWARD {}", rule.join(" "))) {
            let attempted = "remove the lab from this machine's firewall";
            run(attempted, "iptables", &[["-w", "-D", "FORWARD"].as_slice(), &rule].concat())?;
        }
    }
    Ok(())
}

/// What iptables answers; nothing where it is not installed, which is a machine that does not use it.
fn run_quietly(arguments: &[&str]) -> String {
    // Listing through iptables creates its tables on a machine that has none: ask nftables first.
    if !answers_yes("nft", &["list", "chain", "ip", "filter", "FORWARD"]) {
        return String::new();
    }
    run("read this machine's firewall", "iptables", arguments).unwrap_or_default()
}
