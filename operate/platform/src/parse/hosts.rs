//! Hosts, and what they must be to each other.

use super::section::{Entry, Section, Span};
use super::values::NAME_HELP;
use crate::host::{Host, HostName, OperatingSystem, Role, Ssh, Zone};
use crate::settings::LabSettings;
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// What the file says for every host.
pub(super) struct Common {
    pub(super) os: Option<OperatingSystem>,
    pub(super) ssh: Ssh,
    pub(super) private_network: Option<Ipv4Net>,
    pub(super) lab: Option<LabSettings>,
}

/// A host as far as it could be read, with the places of what is compared with other hosts.
pub(super) struct Draft {
    name: Option<HostName>,
    name_span: Span,
    roles: Option<(Vec<Role>, Span)>,
    zone: Option<(Zone, Span)>,
    os: Option<OperatingSystem>,
    address: Option<(Ipv4Addr, Span)>,
    public_address: Option<(Ipv4Addr, Span)>,
    /// Whether the key is there, also misspelt or with a value that cannot be used.
    names_public_address: bool,
    memory_mb: u32,
    ssh: Ssh,
}

/// The login of `[ssh]`, or of one host's `ssh`.
pub(super) fn ssh(section: Section<'_>, default: &Ssh) -> Ssh {
    let user = section.located::<String>("user");
    if let Some((user, span)) = &user
        && !is_login(user)
    {
        let help = "expected a login name, such as: \"root\" or \"admin\"".to_owned();
        section.sheet.report(span, format!("\"{user}\" cannot log in"), help);
    }
    let ssh = Ssh {
        user: user.map_or_else(|| default.user.clone(), |(user, _)| user),
        port: section.or("port", default.port),
    };
    if ssh.port == 0 {
        section.sheet.report(&section.span, "sshd cannot listen on port 0".to_owned(), None);
    }
    section.finish();
    ssh
}

/// Whether Linux takes the text for a login name.
pub(crate) fn is_login(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.chars().all(inner)
}

/// Reads `[hosts]` and reports every host that contradicts another or the network.
pub(super) fn read(root: &Section<'_>, common: &Common) -> Vec<Draft> {
    let Some(section) = root.optional_section("hosts") else {
        if root.entry("hosts").is_none() {
            root.missing("hosts", "[hosts.edge] with `roles`, `address` and `public_address`");
        }
        return Vec::new();
    };
    let drafts: Vec<Draft> =
        section.entries().into_iter().filter_map(|entry| draft(&entry, common)).collect();
    check_roles(&section, &drafts);
    check_distinct(&section, &drafts);
    for draft in &drafts {
        check_zone(&section, draft);
        check_addresses(&section, draft, common);
    }
    drafts
}

fn draft(entry: &Entry<'_>, common: &Common) -> Option<Draft> {
    let section = entry.section(format!("hosts.{}", entry.key))?;
    let name = HostName::parse(&entry.key);
    if name.is_none() {
        let message = format!("\"{}\" cannot be the name of a host", entry.key);
        entry.sheet.report(&entry.key_span, message, NAME_HELP.to_owned());
    }
    let draft = Draft {
        name,
        name_span: entry.span.clone(),
        roles: section.require_located("roles", "roles = [\"app\"]"),
        zone: section.located("zone"),
        address: section.require_located("address", "address = \"10.0.0.20\""),
        public_address: section.located("public_address"),
        names_public_address: section.entry("public_address").is_some()
            || section.misspells("public_address"),
        os: section.get("os").or(common.os),
        memory_mb: section.or("memory_mb", 4096),
        ssh: section.optional_section("ssh").map_or_else(|| common.ssh.clone(), |own| ssh(own, &common.ssh)),
    };
    if draft.memory_mb < 512 {
        let message = format!("a host cannot do its work with {} MB of memory", draft.memory_mb);
        section.sheet.report(&section.span, message, "expected `memory_mb` of at least 512".to_owned());
    }
    section.finish();
    Some(draft)
}

impl Draft {
    fn has(&self, role: Role) -> bool {
        self.roles.as_ref().is_some_and(|(roles, _)| roles.contains(&role))
    }

    pub(super) fn roles(&self) -> impl Iterator<Item = Role> {
        self.roles.iter().flat_map(|(roles, _)| roles.iter().copied())
    }

    /// The host, if everything of it could be read.
    pub(super) fn finish(self) -> Option<Host> {
        let roles: BTreeSet<Role> = self.roles?.0.into_iter().collect();
        let zone = if roles.contains(&Role::Edge) { Zone::Dmz } else { Zone::Private };
        Some(Host {
            name: self.name?,
            zone,
            roles,
            os: self.os?,
            address: self.address?.0,
            public_address: self.public_address.map(|(address, _)| address),
            memory_mb: self.memory_mb,
            ssh: self.ssh,
        })
    }
}

fn check_roles(section: &Section<'_>, drafts: &[Draft]) {
    for draft in drafts {
        if let Some((roles, span)) = &draft.roles
            && roles.is_empty()
        {
            let help =
                "expected at least one of \"edge\", \"app\", \"db\", \"cache\", \"identity\"".to_owned();
            section.sheet.report(span, "a host without a role does nothing".to_owned(), help);
        }
    }
    let edges: Vec<&Draft> = drafts.iter().filter(|draft| draft.has(Role::Edge)).collect();
    if let [first, further @ ..] = edges.as_slice() {
        for second in further {
            let help = format!("the host of line {} is the edge", section.sheet.line(&first.name_span));
            let span = second.roles.as_ref().map_or(&second.name_span, |(_, span)| span);
            section.sheet.report(span, "a platform has exactly one edge".to_owned(), help);
        }
    }
    // A host whose roles could not be read may be the one that is looked for.
    if !section.sheet.is_broken() && drafts.iter().all(|draft| draft.roles().next().is_some()) {
        for role in Role::ALL.into_iter().filter(|role| !drafts.iter().any(|draft| draft.has(*role))) {
            let help = format!("give one host: roles = [\"{role}\"]");
            section.sheet.report_file(format!("no host has the role \"{role}\""), help);
        }
    }
}

fn check_distinct(section: &Section<'_>, drafts: &[Draft]) {
    let private: Vec<_> = drafts.iter().filter_map(|draft| draft.address.as_ref()).collect();
    let public: Vec<_> = drafts.iter().filter_map(|draft| draft.public_address.as_ref()).collect();
    for placed in [private, public] {
        for (index, (address, span)) in placed.iter().enumerate() {
            if let Some((_, first)) = placed[..index].iter().find(|(other, _)| other == address) {
                let help = format!("line {} has it already", section.sheet.line(first));
                section.sheet.report(span, format!("two hosts have the address {address}"), help);
            }
        }
    }
}

fn check_zone(section: &Section<'_>, draft: &Draft) {
    let Some((zone, span)) = &draft.zone else { return };
    let (edge, dmz) = (draft.has(Role::Edge), *zone == Zone::Dmz);
    if edge != dmz && draft.roles.is_some() {
        let help = "leave `zone` out: the edge stands in the dmz and every other host in private".to_owned();
        let message = if edge { "the edge stands in the dmz" } else { "only the edge stands in the dmz" };
        section.sheet.report(span, message.to_owned(), help);
    }
}

fn check_addresses(section: &Section<'_>, draft: &Draft, common: &Common) {
    if let (Some((address, span)), Some(network)) = (&draft.address, common.private_network) {
        if !network.contains(address) {
            let help = format!("expected an address in {network}");
            section.sheet.report(span, format!("{address} is outside the private network"), help);
        } else if *address == network.network() || *address == network.broadcast() {
            let help = format!("expected an address between the first and the last of {network}");
            section.sheet.report(span, format!("{address} cannot be a host's"), help);
        }
    }
    match &draft.public_address {
        Some((address, span)) if draft.has(Role::Edge) => check_public(section, *address, span, common),
        Some((address, span)) if draft.roles.is_some() => {
            let help = "remove it: other hosts are reached, and reach out, through the edge".to_owned();
            section.sheet.report(span, format!("only the edge has a public address, not {address}"), help);
        }
        None if draft.has(Role::Edge) && !draft.names_public_address => {
            let help = "expected such as: public_address = \"198.51.100.10\"".to_owned();
            section.sheet.report(&draft.name_span, "the edge has no `public_address`".to_owned(), help);
        }
        _ => {}
    }
}

fn check_public(section: &Section<'_>, address: Ipv4Addr, span: &Span, common: &Common) {
    if let Some(lab) = &common.lab {
        let network = lab.network;
        let reserved = [network.network(), lab.operator(), network.broadcast()].contains(&address)
            || lab.cdn_range().contains(&address);
        if !network.contains(&address) {
            let help = format!("expected an address in {network}");
            section.sheet.report(span, format!("{address} is outside the lab's network"), help);
        } else if reserved {
            let help = format!(
                "{} is the operator's and {} the CDN's; take another of {network}",
                lab.operator(),
                lab.cdn_range()
            );
            section.sheet.report(span, format!("the lab needs {address} itself"), help);
        }
        return;
    }
    if address.is_private() || address.is_loopback() || address.is_link_local() || address.is_unspecified() {
        let help = "expected the address at which the internet reaches the edge".to_owned();
        section.sheet.report(span, format!("{address} is not reachable from the internet"), help);
    }
}
