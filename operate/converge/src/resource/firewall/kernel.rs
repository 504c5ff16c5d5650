//! The kernel's rules: what they should be, what they are, and how the two differ.

use super::Rule;
use super::network::Network;
use std::collections::BTreeMap;

/// An address family; each has rules of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// Prefix of ufw's chains.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::V4 => "ufw",
            Self::V6 => "ufw6",
        }
    }

    pub(super) fn save_program(self) -> &'static str {
        match self {
            Self::V4 => "/usr/sbin/iptables-save",
            Self::V6 => "/usr/sbin/ip6tables-save",
        }
    }

    pub(super) fn restore_program(self) -> &'static str {
        match self {
            Self::V4 => "/usr/sbin/iptables-restore",
            Self::V6 => "/usr/sbin/ip6tables-restore",
        }
    }

    /// The family's name in nftables and in differences.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }
}

/// A chain: its policy (`-` for a chain that is only jumped to) and its rules as `iptables-save` prints them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) policy: String,
    pub(super) rules: Vec<String>,
}

/// The rules of one family: tables, their chains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RuleSet {
    pub(super) tables: BTreeMap<String, BTreeMap<String, Chain>>,
    /// Tables that hold something which `iptables` has no words for, put there with `nft`.
    pub(super) incompatible: Vec<String>,
}

impl RuleSet {
    /// Reads what `iptables-save` printed.
    pub(super) fn parse(saved: &str) -> Self {
        let mut set = Self::default();
        let mut table = String::new();
        for line in saved.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name.to_owned();
                set.tables.entry(table.clone()).or_default();
            } else if let Some(declaration) = line.strip_prefix(':') {
                let mut words = declaration.split(' ');
                let (name, policy) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                set.chain(&table, name).policy = policy.to_owned();
            } else if let Some(rule) = line.strip_prefix("-A ") {
                let (name, rule) = rule.split_once(' ').unwrap_or((rule, ""));
                set.chain(&table, name).rules.push(normal(rule));
            } else if let Some(name) =
                line.strip_prefix("# Table `").and_then(|rest| rest.split_once("' is incompatible"))
            {
                set.incompatible.push(name.0.to_owned());
            }
        }
        set
    }

    fn chain(&mut self, table: &str, name: &str) -> &mut Chain {
        self.tables.entry(table.to_owned()).or_default().entry(name.to_owned()).or_default()
    }

    /// One line a rule, chain or policy that differs: `-` for what nobody declared and will go, `+` for what is missing.
    pub(super) fn differences(&self, present: &Self, family: Family) -> Vec<String> {
        let mut lines: Vec<String> = present
            .incompatible
            .iter()
            .map(|table| {
                format!("- {} {table}: rules of nft in a table of iptables (not declared)", family.name())
            })
            .collect();
        let nothing = BTreeMap::new();
        let mut tables: Vec<&String> = self.tables.keys().chain(present.tables.keys()).collect();
        tables.sort();
        tables.dedup();
        for table in tables {
            let expected = self.tables.get(table).unwrap_or(&nothing);
            let found = present.tables.get(table).unwrap_or(&nothing);
            let place = format!("{} {table}", family.name());
            lines.extend(chain_differences(&place, expected, found));
        }
        lines
    }

    /// The same set, with every other table that is present emptied.
    pub(super) fn and_empty(mut self, present: &Self) -> Self {
        for (table, chains) in &present.tables {
            if self.tables.contains_key(table) {
                continue;
            }
            for name in chains.iter().filter(|(_, chain)| chain.policy != "-").map(|(name, _)| name) {
                self.chain(table, name).policy = "ACCEPT".to_owned();
            }
        }
        self
    }

    /// What `iptables-restore` reads to replace these tables whole.
    pub(super) fn restore_text(&self) -> String {
        let mut text = String::new();
        for (table, chains) in &self.tables {
            text.push_str(&format!("*{table}\n"));
            for (name, chain) in chains {
                text.push_str(&format!(":{name} {} [0:0]\n", chain.policy));
            }
            for (name, chain) in chains {
                chain.rules.iter().for_each(|rule| text.push_str(&format!("-A {name} {rule}\n")));
            }
            text.push_str("COMMIT\n");
        }
        text
    }

    /// The rules of one chain of the filter table.
    pub(super) fn filter_rules(&self, chain: &str) -> &[String] {
        self.tables.get("filter").and_then(|chains| chains.get(chain)).map_or(&[], |chain| &chain.rules)
    }
}

fn chain_differences(
    place: &str,
    expected: &BTreeMap<String, Chain>,
    found: &BTreeMap<String, Chain>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let empty = Chain::default();
    let mut names: Vec<&String> = expected.keys().chain(found.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let builtin_untouched = |chain: &Chain| chain.policy == "ACCEPT" && chain.rules.is_empty();
        let (want, have) = (expected.get(name), found.get(name));
        match (want, have) {
            // A table appears with its chains as soon as somebody looks at it; as it is then, it does nothing.
            (None, Some(have)) if builtin_untouched(have) => continue,
            (Some(want), None) if builtin_untouched(want) => continue,
            (None, Some(have)) if have.rules.is_empty() => {
                lines.push(format!("- {place} chain {name} (not declared)"))
            }
            (Some(want), None) if want.rules.is_empty() => lines.push(format!("+ {place} chain {name}")),
            (Some(want), Some(have)) if want.policy != have.policy => {
                lines.push(format!("- {place} {name} policy {}", have.policy));
                lines.push(format!("+ {place} {name} policy {}", want.policy));
            }
            _ => {}
        }
        let (want, have) = (want.unwrap_or(&empty), have.unwrap_or(&empty));
        let extra = without(&have.rules, &want.rules);
        let missing = without(&want.rules, &have.rules);
        if extra.is_empty() && missing.is_empty() && want.rules != have.rules {
            lines.push(format!("- {place} {name}: the rules are in another order"));
        }
        lines.extend(extra.iter().map(|rule| format!("- {place} {name} {rule} (not declared)")));
        lines.extend(missing.iter().map(|rule| format!("+ {place} {name} {rule}")));
    }
    lines
}

/// What of `these` is not among `those`, counting repeats.
pub(super) fn without<'a>(these: &'a [String], those: &[String]) -> Vec<&'a str> {
    let mut rest: Vec<&String> = those.iter().collect();
    let mut left = Vec::new();
    for one in these {
        match rest.iter().position(|other| *other == one) {
            Some(at) => drop(rest.swap_remove(at)),
            None => left.push(one.as_str()),
        }
    }
    left
}

/// A rule in the words of one version of iptables: others name the protocols differently.
fn normal(rule: &str) -> String {
    let mut words: Vec<&str> = rule.split(' ').collect();
    for at in 1..words.len() {
        if words[at - 1] == "-p" {
            words[at] = match words[at] {
                "1" => "icmp",
                "6" => "tcp",
                "17" => "udp",
                "58" | "icmpv6" => "ipv6-icmp",
                other => other,
            };
        }
    }
    words.join(" ").replace("3/minute", "3/min")
}

/// What the kernel holds when ufw has started with our files.
pub(super) fn expected(family: Family, rules: &[Rule], masquerade: Option<&(Network, String)>) -> RuleSet {
    let mut set = RuleSet::default();
    let ufw = family.prefix();
    for (builtin, policy, suffix) in
        [("INPUT", "DROP", "input"), ("FORWARD", "DROP", "forward"), ("OUTPUT", "ACCEPT", "output")]
    {
        set.chain("filter", builtin).policy = policy.to_owned();
        for stage in ["before-logging", "before", "after", "after-logging", "reject", "track"] {
            let chain = format!("{ufw}-{stage}-{suffix}");
            set.chain("filter", &chain).policy = "-".to_owned();
            set.chain("filter", builtin).rules.push(format!("-j {chain}"));
        }
        for stage in ["user", "user-logging", "skip-to-policy"] {
            set.chain("filter", &format!("{ufw}-{stage}-{suffix}")).policy = "-".to_owned();
        }
        set.chain("filter", &format!("{ufw}-skip-to-policy-{suffix}")).rules.push(format!("-j {policy}"));
    }
    for (chain, rules) in fixed(family) {
        let chain = set.chain("filter", &format!("{ufw}-{chain}"));
        chain.policy = "-".to_owned();
        chain.rules = rules;
    }
    for suffix in ["input", "output", "forward"] {
        set.chain("filter", &format!("{ufw}-before-{suffix}")).rules.push(format!("-j {ufw}-user-{suffix}"));
    }
    for rule in rules {
        let suffix = if rule.forward { "forward" } else { "input" };
        set.chain("filter", &format!("{ufw}-user-{suffix}")).rules.push(rule.kernel());
    }
    if let Some((from, address)) = masquerade {
        let rule = format!("-s {0} ! -d {0} -j SNAT --to-source {address}", from.kernel());
        for builtin in ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"] {
            set.chain("nat", builtin).policy = "ACCEPT".to_owned();
        }
        set.chain("nat", "POSTROUTING").rules.push(rule);
    }
    set
}

impl Rule {
    fn kernel(&self) -> String {
        let mut text = String::new();
        if !self.from.is_anywhere() {
            text.push_str(&format!("-s {} ", self.from.kernel()));
        }
        if !self.to.is_anywhere() {
            text.push_str(&format!("-d {} ", self.to.kernel()));
        }
        if let Some((port, transport)) = &self.port {
            text.push_str(&format!("-p {transport} -m {transport} --dport {port} "));
        }
        text.push_str("-j ACCEPT");
        text
    }
}

const LIMIT: &str = "-m limit --limit 3/min --limit-burst 10";

/// The chains that are the same on every host, without ufw's prefix.
///
/// Narrower than ufw's own: no mDNS, UPnP or DHCP from anyone, and nothing but answers passes through unasked.
fn fixed(family: Family) -> Vec<(&'static str, Vec<String>)> {
    let ufw = family.prefix();
    let established = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
    let block = format!("{LIMIT} -j LOG --log-prefix \"[UFW BLOCK] \"");
    let mut input = vec![
        "-i lo -j ACCEPT".to_owned(),
        established.to_owned(),
        format!("-m conntrack --ctstate INVALID -j {ufw}-logging-deny"),
        "-m conntrack --ctstate INVALID -j DROP".to_owned(),
    ];
    input.extend(control_messages(family));
    if family == Family::V4 {
        input.push(format!("-j {ufw}-not-local"));
    }
    let skip = |rule: &str| format!("{rule} -j {ufw}-skip-to-policy-input");
    // Chatter of local networks, dropped without a line in the log.
    let mut after: Vec<String> = [("udp", 137), ("udp", 138), ("tcp", 139), ("tcp", 445)]
        .iter()
        .map(|(transport, port)| skip(&format!("-p {transport} -m {transport} --dport {port}")))
        .collect();
    if family == Family::V4 {
        after.push(skip("-m addrtype --dst-type BROADCAST"));
    }
    let reject = match family {
        Family::V4 => "-j REJECT --reject-with icmp-port-unreachable",
        Family::V6 => "-j REJECT --reject-with icmp6-port-unreachable",
    };
    let mut chains = vec![
        ("before-input", input),
        ("before-output", vec!["-o lo -j ACCEPT".to_owned(), established.to_owned()]),
        ("before-forward", vec![established.to_owned()]),
        ("after-input", after),
        ("after-logging-input", vec![block.clone()]),
        ("after-logging-forward", vec![block.clone()]),
        ("logging-deny", vec![format!("-m conntrack --ctstate INVALID {LIMIT} -j RETURN"), block]),
        ("logging-allow", vec![format!("{LIMIT} -j LOG --log-prefix \"[UFW ALLOW] \"")]),
        (
            "user-limit",
            vec![
                "-m limit --limit 3/min -j LOG --log-prefix \"[UFW LIMIT BLOCK] \"".to_owned(),
                reject.to_owned(),
            ],
        ),
        ("user-limit-accept", vec!["-j ACCEPT".to_owned()]),
        (
            "track-output",
            ["tcp", "udp"]
                .iter()
                .map(|name| format!("-p {name} -m conntrack --ctstate NEW -j ACCEPT"))
                .collect(),
        ),
    ];
    if family == Family::V4 {
        let mut not_local: Vec<String> = ["LOCAL", "MULTICAST", "BROADCAST"]
            .iter()
            .map(|kind| format!("-m addrtype --dst-type {kind} -j RETURN"))
            .collect();
        not_local.push(format!("{LIMIT} -j {ufw}-logging-deny"));
        not_local.push("-j DROP".to_owned());
        chains.push(("not-local", not_local));
    }
    chains
}

/// What IP itself needs: errors, echo, and in IPv6 neighbours, routers, multicast listeners and DHCP on the link.
fn control_messages(family: Family) -> Vec<String> {
    if family == Family::V4 {
        return [3, 11, 12, 8]
            .iter()
            .map(|kind| format!("-p icmp -m icmp --icmp-type {kind} -j ACCEPT"))
            .collect();
    }
    let icmp = |kind: &u8| format!("-p ipv6-icmp -m icmp6 --icmpv6-type {kind}");
    let mut rules: Vec<String> =
        [1, 2, 3, 4, 128].iter().map(|kind| format!("{} -j ACCEPT", icmp(kind))).collect();
    rules.extend(
        [133, 134, 135, 136].iter().map(|kind| format!("{} -m hl --hl-eq 255 -j ACCEPT", icmp(kind))),
    );
    rules.extend([130, 131, 132, 143].iter().map(|kind| format!("-s fe80::/10 {} -j ACCEPT", icmp(kind))));
    rules.push("-s fe80::/10 -d fe80::/10 -p udp -m udp --sport 547 --dport 546 -j ACCEPT".to_owned());
    rules
}

#[cfg(test)]
mod tests;
