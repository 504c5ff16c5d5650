//! The firewall: ufw's complete rule set, and the kernel's live one.
//!
//! ufw is what a person at the host reads (`ufw status`) and what starts the rules at boot, so every file of it is
//! written whole. Rules go live through `iptables-restore`, which replaces a table in one transaction: `ufw reload`
//! sets the policies to ACCEPT while it works, and it leaves rules that somebody inserted beside ufw's chains.
//!
//! Anything in the packet filter that is not declared is a difference and is removed, with two exceptions: nftables
//! tables that other programs of the platform keep for themselves ([`nft::is_known`]), and tables without a hook,
//! which see no packets.

mod files;
mod kernel;
mod network;
mod nft;

use crate::difference::Difference;
use crate::host::{self, Host};
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use kernel::{Family, RuleSet};
use network::Network;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

/// The whole firewall of a host: everything in is denied but `incoming`, everything through is denied but `forward`.
///
/// Observed twice: in ufw's files and in the kernel, so that a rule added by hand is found wherever it was added.
/// ICMP that IP cannot do without (errors, echo, IPv6 neighbours) comes in always; what the host sends is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// What may come in.
    pub incoming: Vec<FirewallRule>,
    /// What may pass through (the edge's egress). The kernel forwards only where a `Sysctl` lets it.
    pub forward: Vec<ForwardRule>,
    /// What leaves with the host's own address.
    pub masquerade: Option<Masquerade>,
}

/// Something that may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Source network in CIDR notation, or one address; `0.0.0.0/0` (and `::/0`) for anyone.
    pub from: String,
    /// Port at this host.
    pub port: u16,
    /// `tcp` or `udp`.
    pub transport: String,
    /// What it is for; shown by `ufw status`.
    pub comment: String,
}

/// Something that may pass through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardRule {
    /// Source network in CIDR notation.
    pub from: String,
    /// Destination network in CIDR notation.
    pub to: String,
    /// Destination ports with their transport (`tcp` or `udp`); `None` for any protocol.
    pub ports: Option<Vec<(u16, String)>>,
    /// What it is for.
    pub comment: String,
}

/// Source network whose packets leave with the host's public address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masquerade {
    /// Source network in CIDR notation; packets between its own members keep their addresses.
    pub from: String,
    /// The address that they leave with; this host must hold it.
    pub public_address: String,
}

/// A rule of either kind, its addresses parsed and of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    forward: bool,
    from: Network,
    to: Network,
    /// Port and transport; `None` for any protocol.
    port: Option<(u16, String)>,
    comment: String,
}

impl Firewall {
    /// The rules of one address family, each once.
    fn rules(&self, family: Family) -> Result<Vec<Rule>, ResourceError> {
        let mut rules: Vec<Rule> = Vec::new();
        for rule in &self.incoming {
            let from = Network::parse(&rule.from)?;
            let port = Some((rule.port, transport(&rule.transport)?));
            let to = Network::anywhere(from.family());
            add(&mut rules, family, Rule { forward: false, from, to, port, comment: rule.comment.clone() });
        }
        for rule in &self.forward {
            let (from, to) = (Network::parse(&rule.from)?, Network::parse(&rule.to)?);
            if from.family() != to.family() {
                return Err(ResourceError::Other(format!(
                    "forward rule `{}`: {} and {} are of different address families; write one rule for each",
                    rule.comment, rule.from, rule.to
                )));
            }
            let ports: Vec<Option<(u16, String)>> = match &rule.ports {
                None => vec![None],
                Some(ports) => ports
                    .iter()
                    .map(|(port, name)| Ok(Some((*port, transport(name)?))))
                    .collect::<Result<_, ResourceError>>()?,
            };
            for port in ports {
                let comment = rule.comment.clone();
                add(
                    &mut rules,
                    family,
                    Rule { forward: true, from: from.clone(), to: to.clone(), port, comment },
                );
            }
        }
        Ok(rules)
    }

    fn rule_set(&self, family: Family) -> Result<RuleSet, ResourceError> {
        let masquerade = match (&self.masquerade, family) {
            (Some(masquerade), Family::V4) => {
                Some((Network::parse(&masquerade.from)?, masquerade.public_address.clone()))
            }
            _ => None,
        };
        Ok(kernel::expected(family, &self.rules(family)?, masquerade.as_ref()))
    }

    fn files(&self) -> Result<Vec<files::ConfigFile>, ResourceError> {
        let mut all = files::settings();
        for family in [Family::V4, Family::V6] {
            all.extend(files::rules(family, &self.rules(family)?, &self.rule_set(family)?));
        }
        Ok(all)
    }
}

/// Adds a rule of this family; the same opening asked for twice is one rule that names both purposes.
fn add(rules: &mut Vec<Rule>, family: Family, rule: Rule) {
    if rule.from.family() != family {
        return;
    }
    let same = |other: &&mut Rule| {
        (other.forward, &other.from, &other.to, &other.port)
            == (rule.forward, &rule.from, &rule.to, &rule.port)
    };
    match rules.iter_mut().find(same) {
        Some(present) if present.comment.split(", ").any(|part| part == rule.comment) => {}
        Some(present) => present.comment = format!("{}, {}", present.comment, rule.comment),
        None => rules.push(rule),
    }
}

fn transport(name: &str) -> Result<String, ResourceError> {
    match name {
        "tcp" | "udp" => Ok(name.to_owned()),
        _ => Err(ResourceError::Other(format!("firewall rule: transport `{name}` is neither tcp nor udp"))),
    }
}

/// What the kernel filters with now.
struct Live {
    v4: RuleSet,
    v6: RuleSet,
    foreign: Vec<nft::Table>,
}

/// Reads the kernel's rules, the three programs side by side.
fn live() -> Result<Live, ResourceError> {
    std::thread::scope(|scope| {
        let v6 = scope.spawn(|| read_rules(Family::V6));
        let tables = scope.spawn(nft::foreign_tables);
        let v4 = read_rules(Family::V4)?;
        let joined = || ResourceError::Other("reading the kernel's firewall rules was aborted".to_owned());
        Ok(Live { v4, v6: v6.join().map_err(|_| joined())??, foreign: tables.join().map_err(|_| joined())?? })
    })
}

fn read_rules(family: Family) -> Result<RuleSet, ResourceError> {
    Ok(RuleSet::parse(&host::output(&[family.save_program()], None)?))
}

impl Manage for Firewall {
    fn id(&self) -> ResourceId {
        ResourceId::new("firewall", "ufw")
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        let files = self.files()?;
        if !Path::new("/usr/sbin/ufw").exists() {
            return Ok(Observed::differs(Difference::new(
                "ufw is not installed yet; the firewall will be closed",
            )));
        }
        let mut lines = Vec::new();
        for file in &files {
            lines.extend(file.differences()?);
        }
        let live = live()?;
        for (family, present) in [(Family::V4, &live.v4), (Family::V6, &live.v6)] {
            lines.extend(self.rule_set(family)?.differences(present, family));
        }
        lines.extend(live.foreign.iter().map(|table| format!("- nft table {table} (not declared)")));
        if lines.is_empty() {
            let mut hash = Sha256::new();
            files.iter().for_each(|file| hash.update(&file.content));
            return Ok(Observed::same(format!("{:x}", hash.finalize())));
        }
        Ok(Observed::differs(Difference::with_lines(summary(&lines), lines)))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        let (v4, v6) = (self.rule_set(Family::V4)?, self.rule_set(Family::V6)?);
        self.check_public_address()?;
        for (family, rules) in [(Family::V4, &v4), (Family::V6, &v6)] {
            let text = rules.restore_text();
            host::output(&[family.restore_program(), "--test"], Some(text.as_bytes()))?;
        }
        for file in self.files()? {
            file.write()?;
        }
        let live = live()?;
        for (family, rules, present) in [(Family::V4, v4, live.v4), (Family::V6, v6, live.v6)] {
            for table in &present.incompatible {
                nft::make_compatible(family, table)?;
            }
            let text = rules.and_empty(&present).restore_text();
            host::output(&[family.restore_program()], Some(text.as_bytes()))?;
        }
        live.foreign.iter().try_for_each(nft::Table::delete)
    }

    fn guarded_paths(&self) -> Vec<String> {
        files::PATHS.iter().map(|path| (*path).to_owned()).collect()
    }

    /// Stops ufw whatever its files say, then starts it only where the files that came back say that it was on.
    ///
    /// `ufw-init` opens the host for the moment in between: an undo has to end reachable, so that order is right here.
    fn after_revert(&self) -> Vec<Vec<String>> {
        let ufw_init = "/usr/lib/ufw/ufw-init".to_owned();
        vec![vec![ufw_init.clone(), "force-stop".to_owned()], vec![ufw_init, "start".to_owned()]]
    }
}

impl Firewall {
    /// Packets that leave with an address nobody answers for would be lost without a word.
    fn check_public_address(&self) -> Result<(), ResourceError> {
        let Some(masquerade) = &self.masquerade else { return Ok(()) };
        let address: IpAddr = masquerade.public_address.parse().map_err(|_| {
            ResourceError::Other(format!("masquerade: `{}` is not an IP address", masquerade.public_address))
        })?;
        // Only an address of this host can be bound.
        UdpSocket::bind((address, 0)).map(drop).map_err(|_| {
            ResourceError::Other(format!(
                "masquerade of {}: this host does not hold {address}; give the address that `ip address` shows",
                masquerade.from
            ))
        })
    }
}

fn summary(lines: &[String]) -> String {
    let extra = lines.iter().filter(|line| line.starts_with('-')).count();
    let missing = lines.iter().filter(|line| line.starts_with('+')).count();
    match (extra, missing) {
        (0, missing) => format!("{missing} declared lines missing"),
        (extra, 0) => format!("{extra} lines that nobody declared"),
        (extra, missing) => format!("{extra} lines that nobody declared, {missing} declared lines missing"),
    }
}

#[cfg(test)]
mod tests;
