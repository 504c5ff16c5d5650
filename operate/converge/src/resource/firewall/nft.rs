//! Tables of nftables that are not iptables' own.

use super::kernel::Family;
use crate::host;
use crate::resource::ResourceError;
use std::fmt;

const NFT: &str = "/usr/sbin/nft";

/// A table of nftables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    family: String,
    name: String,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

impl Table {
    pub(super) fn delete(&self) -> Result<(), ResourceError> {
        host::output(&[NFT, "delete", "table", &self.family, &self.name], None).map(drop)
    }

    fn sees_packets(&self) -> Result<bool, ResourceError> {
        Ok(host::output(&[NFT, "list", "table", &self.family, &self.name], None)?.contains(" hook "))
    }
}

/// Tables whose owner we know: iptables (compared rule by rule elsewhere), fail2ban, Docker and systemd.
pub(super) fn is_known(family: &str, name: &str) -> bool {
    let of_iptables =
        matches!(family, "ip" | "ip6") && matches!(name, "filter" | "nat" | "mangle" | "raw" | "security");
    of_iptables || name.starts_with("f2b-") || name.starts_with("docker-") || name == "io.systemd.nat"
}

/// Tables that filter packets and belong to nobody known.
pub(super) fn foreign_tables() -> Result<Vec<Table>, ResourceError> {
    let mut foreign = Vec::new();
    for table in parse(&host::output(&[NFT, "list", "tables"], None)?) {
        if !is_known(&table.family, &table.name) && table.sees_packets()? {
            foreign.push(table);
        }
    }
    Ok(foreign)
}

fn parse(listing: &str) -> Vec<Table> {
    listing
        .lines()
        .filter_map(|line| {
            let (family, name) = line.strip_prefix("table ")?.trim().split_once(' ')?;
            Some(Table { family: family.to_owned(), name: name.to_owned() })
        })
        .collect()
}

/// Takes out of a table of iptables what iptables cannot read, so that it can be replaced.
///
/// The policies stay as they are, so the host is closed rather than open until the rules come a moment later.
pub(super) fn make_compatible(family: Family, table: &str) -> Result<(), ResourceError> {
    let listing = host::output(&[NFT, "list", "table", family.name(), table], None)?;
    let mut script = format!("flush table {} {table}\n", family.name());
    for object in foreign_objects(&listing) {
        script.push_str(&format!("delete {} {} {table} {}\n", object.0, family.name(), object.1));
    }
    host::output(&[NFT, "-f", "-"], Some(script.as_bytes())).map(drop)
}

/// Kinds and names of what iptables never makes in a table: hooked chains of other names, sets, maps and the like.
fn foreign_objects(listing: &str) -> Vec<(String, String)> {
    let mut objects = Vec::new();
    let mut chain = None;
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["chain", name, "{"] => chain = Some((*name).to_owned()),
            ["type", _, "hook", ..] => {
                let builtin = ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"];
                objects.extend(
                    chain
                        .take()
                        .filter(|name| !builtin.contains(&name.as_str()))
                        .map(|name| ("chain".to_owned(), name)),
                );
            }
            [kind @ ("set" | "map" | "flowtable" | "counter" | "quota" | "limit"), name, "{"] => {
                objects.push(((*kind).to_owned(), (*name).to_owned()));
            }
            _ => {}
        }
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_programs_we_know_are_left_alone() {
        let listing = "table ip filter\ntable inet f2b-table\ntable inet evil\ntable ip docker-bridges\n";
        let foreign: Vec<String> = parse(listing)
            .iter()
            .filter(|table| !is_known(&table.family, &table.name))
            .map(ToString::to_string)
            .collect();
        assert_eq!(foreign, ["inet evil"]);
    }

    #[test]
    fn a_hooked_chain_beside_those_of_iptables_is_found() {
        let listing = "table ip filter {\n\tset bad {\n\t\ttype ipv4_addr\n\t}\n\n\tchain INPUT {\n\t\ttype filter hook \
                       input priority filter; policy drop;\n\t}\n\n\tchain evil {\n\t\ttype filter hook input priority \
                       -10; policy accept;\n\t}\n}\n";
        let expected = [("set".to_owned(), "bad".to_owned()), ("chain".to_owned(), "evil".to_owned())];
        assert_eq!(foreign_objects(listing), expected);
    }
}
