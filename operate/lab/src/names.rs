//! Who is who on the lab's internet: what public DNS says in real life, the lab says in hosts files.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::addresses::Addresses;
use crate::error::{Result, file_error};
use crate::paths;
use crate::providers;
use crate::spec::{LabHost, LabSpec};

const MACHINE_FILE: &str = "/etc/hosts";

/// The public names of the lab and where they lead.
pub(crate) fn public(spec: &LabSpec) -> Vec<(Ipv4Addr, String)> {
    let addresses = Addresses::of(spec.public_network);
    let front = if spec.cdn { addresses.cdn } else { spec.origin_address() };
    let own = spec.names.iter().map(|name| (front, name.clone()));
    own.chain(providers::public_names(spec)).chain([(addresses.acme, spec.acme_name())]).collect()
}

/// The hosts file of a host.
pub(crate) fn file_of_host(spec: &LabSpec, host: &LabHost) -> String {
    format!("127.0.0.1 localhost\n127.0.1.1 {}\n{}", host.name, lines(spec, ""))
}

/// The hosts file of a place of the world.
pub(crate) fn file_of_world(spec: &LabSpec) -> String {
    format!("127.0.0.1 localhost\n{}", lines(spec, ""))
}

/// Adds the lab's public names to this machine's hosts file.
pub(crate) fn publish(spec: &LabSpec) -> Result<()> {
    let marker = marker(&spec.name);
    change(Path::new(MACHINE_FILE), |text| format!("{}{}", lines(spec, &marker), without(text, &marker)))
}

/// Removes the lab's public names from this machine's hosts file.
pub(crate) fn withdraw(lab: &str) -> Result<()> {
    change(Path::new(MACHINE_FILE), |text| without(text, &marker(lab)))
}

fn marker(lab: &str) -> String {
    format!(" # bastide lab {lab}")
}

fn lines(spec: &LabSpec, marker: &str) -> String {
    public(spec).into_iter().map(|(address, name)| format!("{address} {name}{marker}\n")).collect()
}

fn without(text: &str, marker: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.trim_end().ends_with(marker)).collect()
}

fn change(file: &Path, edit: impl FnOnce(&str) -> String) -> Result<()> {
    let file = &fs::canonicalize(file).map_err(file_error("find", file))?;
    let before = paths::read_file(file)?;
    let after = edit(&before);
    if after == before {
        return Ok(());
    }
    let replaced = paths::write_file(file, after.as_bytes(), 0o644);
    if replaced.is_err() {
        // In a container the file is a mount of its own and cannot be replaced, only written.
        return fs::write(file, after).map_err(file_error("write", file));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LabSpec {
        serde_json::from_str(include_str!("../tests/support/lab.json")).unwrap()
    }

    #[test]
    fn proxied_names_lead_to_the_cdn_and_others_to_the_edge() {
        let mut spec = spec();
        assert!(lines(&spec, "").starts_with("198.51.100.33 bastide.test\n198.51.100.33 id.bastide.test\n"));
        spec.cdn = false;
        assert!(lines(&spec, "").starts_with("198.51.100.10 bastide.test\n"));
        assert!(lines(&spec, "").ends_with("198.51.100.41 acme.bastide.test\n"));
    }

    #[test]
    fn only_the_labs_own_lines_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hosts");
        let original = "127.0.0.1 localhost\n1.2.3.4 other # bastide lab other\nno newline at the end";
        fs::write(&file, original).unwrap();
        let marker = marker("bastide");
        for _ in 0..2 {
            change(&file, |text| format!("{}{}", lines(&spec(), &marker), without(text, &marker))).unwrap();
        }
        let published = fs::read_to_string(&file).unwrap();
        assert_eq!(published.matches("# bastide lab bastide\n").count(), 3);
        change(&file, |text| without(text, &marker)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), original);
    }
}
