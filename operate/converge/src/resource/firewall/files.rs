//! ufw's files, written whole, in the words that ufw itself would use.

use super::Rule;
use super::kernel::{Family, RuleSet, without};
use crate::resource::ResourceError;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Every file that the firewall writes.
pub(super) const PATHS: [&str; 8] = [
    "/etc/default/ufw",
    "/etc/ufw/ufw.conf",
    "/etc/ufw/before.rules",
    "/etc/ufw/after.rules",
    "/etc/ufw/user.rules",
    "/etc/ufw/before6.rules",
    "/etc/ufw/after6.rules",
    "/etc/ufw/user6.rules",
];

/// A file of ufw, as it has to be.
pub(super) struct ConfigFile {
    path: String,
    mode: u32,
    pub(super) content: String,
}

impl ConfigFile {
    /// One line for each line that differs; empty where none does.
    pub(super) fn differences(&self) -> Result<Vec<String>, ResourceError> {
        let present = match fs::read_to_string(&self.path) {
            Ok(present) => present,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(vec![format!("+ {} (the file is missing)", self.path)]);
            }
            Err(error) => return Err(ResourceError::io(format!("read {}", self.path))(error)),
        };
        let metadata =
            fs::metadata(&self.path).map_err(ResourceError::io(format!("look at {}", self.path)))?;
        let mode = metadata.permissions().mode() & 0o7777;
        let mut lines = Vec::new();
        if mode != self.mode {
            lines.push(format!("- {} has mode {mode:04o}, should have {:04o}", self.path, self.mode));
        }
        if present == self.content {
            return Ok(lines);
        }
        let (have, want) = (content_lines(&present), content_lines(&self.content));
        let extra = without(&have, &want);
        let missing = without(&want, &have);
        if extra.is_empty() && missing.is_empty() {
            lines.push(format!("- {}: order or empty lines differ", self.path));
        }
        lines.extend(extra.iter().map(|line| format!("- {}: {line}", self.path)));
        lines.extend(missing.iter().map(|line| format!("+ {}: {line}", self.path)));
        Ok(lines)
    }

    /// Replaces the file in one step.
    pub(super) fn write(&self) -> Result<(), ResourceError> {
        let temporary = format!("{}.bastide-new", self.path);
        let attempted = || ResourceError::io(format!("write {}", self.path));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(self.mode)
            .open(&temporary)
            .map_err(attempted())?;
        file.set_permissions(fs::Permissions::from_mode(self.mode)).map_err(attempted())?;
        file.write_all(self.content.as_bytes()).map_err(attempted())?;
        file.sync_all().map_err(attempted())?;
        fs::rename(&temporary, Path::new(&self.path)).map_err(attempted())
    }
}

fn content_lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The files that hold policies and switches.
pub(super) fn settings() -> Vec<ConfigFile> {
    let defaults = "# Written by Bastide, whole. Sysctls live in /etc/sysctl.d, so ufw sets none of its own.\n\
                    IPV6=yes\n\
                    DEFAULT_INPUT_POLICY=\"DROP\"\n\
                    DEFAULT_OUTPUT_POLICY=\"ACCEPT\"\n\
                    DEFAULT_FORWARD_POLICY=\"DROP\"\n\
                    DEFAULT_APPLICATION_POLICY=\"SKIP\"\n\
                    MANAGE_BUILTINS=no\n\
                    IPT_SYSCTL=\n\
                    IPT_MODULES=\"\"\n";
    let switches = "# Written by Bastide, whole.\nENABLED=yes\nLOGLEVEL=low\n";
    vec![
        ConfigFile { path: "/etc/default/ufw".to_owned(), mode: 0o644, content: defaults.to_owned() },
        ConfigFile { path: "/etc/ufw/ufw.conf".to_owned(), mode: 0o644, content: switches.to_owned() },
    ]
}

/// The files that hold one family's rules, which ufw loads in this order: before, after, user.
pub(super) fn rules(family: Family, rules: &[Rule], set: &RuleSet) -> Vec<ConfigFile> {
    let digit = if family == Family::V6 { "6" } else { "" };
    let file = |name: &str, content: String| ConfigFile {
        path: format!("/etc/ufw/{name}{digit}.rules"),
        mode: 0o640,
        content,
    };
    vec![
        file("before", before(family, set)),
        file("after", chains_file(family, set, &["after-input", "after-output", "after-forward"])),
        file("user", user(family, rules)),
    ]
}

fn before(family: Family, set: &RuleSet) -> String {
    let mut chains = vec!["before-input", "before-output", "before-forward"];
    if family == Family::V4 {
        chains.push("not-local");
    }
    let mut text = chains_file(family, set, &chains);
    if let Some(nat) = set.tables.get("nat") {
        // ufw loads this file on top of what is there, so the chain is emptied first.
        text.push_str("*nat\n:POSTROUTING ACCEPT [0:0]\n-F POSTROUTING\n");
        let rules = nat.get("POSTROUTING").map_or(&[][..], |chain| &chain.rules);
        rules.iter().for_each(|rule| text.push_str(&format!("-A POSTROUTING {rule}\n")));
        text.push_str("COMMIT\n");
    }
    text
}

fn chains_file(family: Family, set: &RuleSet, chains: &[&str]) -> String {
    let ufw = family.prefix();
    let mut text =
        "# Written by Bastide, whole: what is added here by hand is taken out again.\n*filter\n".to_owned();
    for chain in chains {
        text.push_str(&format!(":{ufw}-{chain} - [0:0]\n"));
    }
    for chain in chains {
        let name = format!("{ufw}-{chain}");
        // ufw adds the jump to the user's chain itself.
        for rule in
            set.filter_rules(&name).iter().filter(|rule| !rule.starts_with(&format!("-j {ufw}-user-")))
        {
            text.push_str(&format!("-A {name} {rule}\n"));
        }
    }
    text.push_str("COMMIT\n");
    text
}

/// The file that `ufw allow` writes and `ufw status` reads, byte for byte as ufw would leave it.
fn user(family: Family, rules: &[Rule]) -> String {
    let ufw = family.prefix();
    let mut text = "*filter\n".to_owned();
    for stage in ["user", "before-logging", "user-logging", "after-logging"] {
        for suffix in ["input", "output", "forward"] {
            text.push_str(&format!(":{ufw}-{stage}-{suffix} - [0:0]\n"));
        }
    }
    for chain in ["logging-deny", "logging-allow", "user-limit", "user-limit-accept"] {
        text.push_str(&format!(":{ufw}-{chain} - [0:0]\n"));
    }
    text.push_str("### RULES ###\n");
    rules.iter().for_each(|rule| text.push_str(&rule.ufw(ufw)));
    let limit = "-m limit --limit 3/min --limit-burst 10";
    text.push_str(&format!(
        "\n### END RULES ###\n\n### LOGGING ###\n\
         -A {ufw}-after-logging-input -j LOG --log-prefix \"[UFW BLOCK] \" {limit}\n\
         -A {ufw}-after-logging-forward -j LOG --log-prefix \"[UFW BLOCK] \" {limit}\n\
         -I {ufw}-logging-deny -m conntrack --ctstate INVALID -j RETURN {limit}\n\
         -A {ufw}-logging-deny -j LOG --log-prefix \"[UFW BLOCK] \" {limit}\n\
         -A {ufw}-logging-allow -j LOG --log-prefix \"[UFW ALLOW] \" {limit}\n\
         ### END LOGGING ###\n\n### RATE LIMITING ###\n\
         -A {ufw}-user-limit -m limit --limit 3/minute -j LOG --log-prefix \"[UFW LIMIT BLOCK] \"\n\
         -A {ufw}-user-limit -j REJECT\n\
         -A {ufw}-user-limit-accept -j ACCEPT\n\
         ### END RATE LIMITING ###\nCOMMIT\n"
    ));
    text
}

impl Rule {
    /// The rule with the line above it from which ufw reads it back.
    fn ufw(&self, prefix: &str) -> String {
        let (action, chain) = if self.forward { ("route:allow", "forward") } else { ("allow", "input") };
        let (transport, port) = match &self.port {
            Some((port, transport)) => (transport.as_str(), port.to_string()),
            None => ("any", "any".to_owned()),
        };
        let (to, from) = (self.to.ufw(), self.from.ufw());
        let mut tuple = format!("\n### tuple ### {action} {transport} {port} {to} any {from} in");
        if !self.comment.is_empty() {
            tuple.push_str(" comment=");
            self.comment.bytes().for_each(|byte| tuple.push_str(&format!("{byte:02x}")));
        }
        let mut rule = format!("-A {prefix}-user-{chain}");
        if self.port.is_some() {
            rule.push_str(&format!(" -p {transport}"));
        }
        if !self.to.is_anywhere() {
            rule.push_str(&format!(" -d {to}"));
        }
        if self.port.is_some() {
            rule.push_str(&format!(" --dport {port}"));
        }
        if !self.from.is_anywhere() {
            rule.push_str(&format!(" -s {from}"));
        }
        format!("{tuple}\n{rule} -j ACCEPT\n")
    }
}
