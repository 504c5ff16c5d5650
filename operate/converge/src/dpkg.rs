//! What is installed, as dpkg's own status file says, and the order of its versions.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A package that dpkg knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Version, installed or last seen.
    pub version: String,
    /// Third word of its status: `installed`, `half-configured`, `config-files`, …
    pub state: String,
}

/// All packages of a host.
#[derive(Debug, Default)]
pub struct Installed {
    packages: BTreeMap<String, Package>,
    /// Whether dpkg was interrupted and has to finish before anything else can be installed.
    pub interrupted: bool,
}

impl Installed {
    /// Reads dpkg's status file. `updates_pending` tells whether its journal `updates/` holds anything.
    pub fn parse(status: &str, updates_pending: bool) -> Self {
        let mut installed = Self { packages: BTreeMap::new(), interrupted: updates_pending };
        let (mut name, mut version, mut state) = ("", "", "");
        for line in status.lines().chain([""]) {
            if let Some(value) = line.strip_prefix("Package: ") {
                name = value;
            } else if let Some(value) = line.strip_prefix("Status: ") {
                state = value.rsplit(' ').next().unwrap_or_default();
            } else if let Some(value) = line.strip_prefix("Version: ") {
                version = value;
            } else if line.is_empty() && !name.is_empty() {
                installed.add(name, version, state);
                (name, version, state) = ("", "", "");
            }
        }
        installed
    }

    fn add(&mut self, name: &str, version: &str, state: &str) {
        self.interrupted |= matches!(state, "half-configured" | "half-installed" | "unpacked");
        let known = self.packages.get(name);
        // The same package may be there for two architectures; installed for one is installed.
        if known.is_none_or(|package| package.state != "installed") {
            self.packages
                .insert(name.to_owned(), Package { version: version.to_owned(), state: state.to_owned() });
        }
    }

    /// The package, if it is installed and configured; waiting for another package's trigger does not matter.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages
            .get(name)
            .filter(|p| matches!(p.state.as_str(), "installed" | "triggers-awaited" | "triggers-pending"))
    }

    /// What dpkg says of a package that is not installed properly; none where it says nothing.
    pub fn state(&self, name: &str) -> Option<&str> {
        self.packages.get(name).map(|package| package.state.as_str())
    }
}

/// Compares two versions as `dpkg --compare-versions` does: epoch, upstream version, revision.
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b)) = (split(a), split(b));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_part(upstream_a, upstream_b))
        .then_with(|| compare_part(revision_a, revision_b))
}

fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Turns are taken: a stretch without digits by characters, then a stretch of digits by value.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = a.split_at(a.find(|c: char| c.is_ascii_digit()).unwrap_or(a.len()));
        let (text_b, rest_b) = b.split_at(b.find(|c: char| c.is_ascii_digit()).unwrap_or(b.len()));
        let order = compare_text(text_a, text_b);
        if order != Ordering::Equal {
            return order;
        }
        let (digits_a, rest_a) =
            rest_a.split_at(rest_a.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_a.len()));
        let (digits_b, rest_b) =
            rest_b.split_at(rest_b.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_b.len()));
        let (value_a, value_b) = (digits_a.trim_start_matches('0'), digits_b.trim_start_matches('0'));
        let order = value_a.len().cmp(&value_b.len()).then_with(|| value_a.cmp(value_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn compare_text(a: &str, b: &str) -> Ordering {
    // `~` sorts before everything, even the end; letters before other characters.
    let weight = |c: Option<char>| match c {
        None => 0,
        Some('~') => -1,
        Some(c) if c.is_ascii_alphabetic() => c as i64,
        Some(c) => c as i64 + 256,
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) if weight(x) == weight(y) => {}
            (x, y) => return weight(x).cmp(&weight(y)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: caddy\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.11.4-1\n\
        Description: a server\n and\n .\n more\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: held\nStatus: hold ok installed\nVersion: 3\n";

    #[test]
    fn status_file() {
        let installed = Installed::parse(STATUS, false);
        assert_eq!(installed.package("caddy").unwrap().version, "2.11.4-1");
        assert!(installed.package("gone").is_none());
        assert_eq!(installed.state("gone"), Some("config-files"));
        assert!(installed.package("held").is_some());
        assert!(!installed.interrupted);
    }

    #[test]
    fn interruption_is_seen() {
        assert!(Installed::parse(STATUS, true).interrupted);
        let half = STATUS.replace("hold ok installed", "install ok half-configured");
        assert!(Installed::parse(&half, false).interrupted);
    }

    #[test]
    fn versions_in_dpkgs_order() {
        let ascending = [
            "1.0~beta1~svn1245",
            "1.0~beta1",
            "1.0",
            "1.0-1~bpo12+1",
            "1.0-1",
            "1.0-1.1",
            "1.0a",
            "1.0+dfsg-1",
            "1.2.3",
            "1.2.10",
            "9.1.1+dfsg1-1",
            "18.6-1.pgdg24.04+1",
            "1:0.1",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
        assert_eq!(compare("1.01", "1.1"), Ordering::Equal);
        assert_eq!(compare("1.0-0", "1.0"), Ordering::Equal);
    }

    #[test]
    fn the_packager_agrees() {
        let pairs = [
            ("9.1.1", "9.1.1+dfsg-1"),
            ("2.11.2", "2.11.4-1"),
            ("1.26.1-1.pgdg", "1.26.1"),
            ("5:28", "28.5"),
        ];
        for (a, b) in pairs {
            let word = match compare(a, b) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            let status = std::process::Command::new("dpkg").args(["--compare-versions", a, word, b]).status();
            assert!(status.unwrap().success(), "{a} {word} {b}");
        }
    }
}
