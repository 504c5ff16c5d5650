//! What stands at the border: the operator, the CDN, certificates, bans, a lab's network.

use super::names::{self, is_public_name};
use super::section::{Entry, Section};
use super::values::Source;
use crate::keys;
use crate::settings::{
    Acme, BanAction, Cdn, CdnProvider, Challenge, Fail2banSettings, LabSettings, Operator, SslMode,
};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// IPv4 ranges from which Cloudflare connects to origins.
///
/// Source: <https://www.cloudflare.com/ips-v4>, as of October 2026; unchanged since September 2023.
/// `ranges` in `[cdn]` replaces them.
pub const CLOUDFLARE_RANGES: [Ipv4Net; 15] = [
    range(173, 245, 48, 20),
    range(103, 21, 244, 22),
    range(103, 22, 200, 22),
    range(103, 31, 4, 22),
    range(141, 101, 64, 18),
    range(108, 162, 192, 18),
    range(190, 93, 240, 20),
    range(188, 114, 96, 20),
    range(197, 234, 240, 22),
    range(198, 41, 128, 17),
    range(162, 158, 0, 15),
    range(104, 16, 0, 13),
    range(104, 24, 0, 14),
    range(172, 64, 0, 13),
    range(131, 0, 72, 22),
];

const fn range(a: u8, b: u8, c: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length)
}

/// Directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Labs share this network by quarters.
const LAB_NETWORKS: Ipv4Net = range(198, 51, 100, 24);

pub(super) fn lab(section: Section<'_>) -> Option<LabSettings> {
    let (network, span) = section.require_located::<Ipv4Net>("network", "network = \"198.51.100.0/26\"")?;
    if network.prefix_len() != 26 || !LAB_NETWORKS.contains(&network) {
        let help = "expected 198.51.100.0/26, 198.51.100.64/26, 198.51.100.128/26 or 198.51.100.192/26";
        section.sheet.report(&span, format!("{network} cannot be a lab's network"), help.to_owned());
        section.finish();
        return None;
    }
    section.finish();
    Some(LabSettings { network })
}

/// `[operator]`; a lab makes its own, so there it may be left out.
pub(super) fn operator(section: Section<'_>, lab: bool, directory: &Path) -> Operator {
    let addresses: Vec<Source> = match lab {
        true => section.or("addresses", Vec::new()),
        false => section.require("addresses", "addresses = [\"192.0.2.7\"]").unwrap_or_default(),
    };
    let lines = section.entry("keys").and_then(|entry| entry.items()).unwrap_or_default();
    let files = section.entry("key_files").and_then(|entry| entry.items()).unwrap_or_default();
    let mut keys: Vec<String> = lines.iter().filter_map(key).collect();
    for file in &files {
        keys.extend(key_file(file, directory));
    }
    if !lab {
        if section.entry("addresses").is_some_and(|entry| entry.items().is_some_and(|list| list.is_empty())) {
            section.missing("addresses", "addresses = [\"192.0.2.7\"]");
        }
        if lines.is_empty() && files.is_empty() {
            section.missing("keys", "key_files = [\"operator.pub\"]");
        }
    }
    section.finish();
    Operator { addresses: addresses.into_iter().map(|Source(network)| network).collect(), keys }
}

fn key(entry: &Entry<'_>) -> Option<String> {
    let text = entry.text("a public key in quotes")?;
    match keys::public_key(text) {
        Ok(key) => Some(key),
        Err(wrong) => {
            entry.reject(format!("this is no public key: {wrong}"), KEY_HELP.to_owned());
            None
        }
    }
}

const KEY_HELP: &str = "expected a line such as the one in ~/.ssh/id_ed25519.pub: \"ssh-ed25519 AAAA… name\"";

fn key_file(entry: &Entry<'_>, directory: &Path) -> Vec<String> {
    let Some(name) = entry.text("the name of a file in quotes") else { return Vec::new() };
    let path = directory.join(name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            entry.reject(format!("{} cannot be read: {error}", path.display()), KEY_HELP.to_owned());
            return Vec::new();
        }
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read: Result<Vec<String>, _> = lines.map(keys::public_key).collect();
    match read {
        Ok(found) if !found.is_empty() => found,
        Ok(_) => {
            entry.reject(format!("{} holds no public key", path.display()), KEY_HELP.to_owned());
            Vec::new()
        }
        Err(wrong) => {
            entry.reject(format!("{} holds no public key: {wrong}", path.display()), KEY_HELP.to_owned());
            Vec::new()
        }
    }
}

pub(super) fn cdn(section: Section<'_>, lab: bool) -> Cdn {
    let provider = match section.is_present() {
        true => section.require("provider", "provider = \"cloudflare\"").unwrap_or(CdnProvider::None),
        false => CdnProvider::None,
    };
    let default =
        if provider == CdnProvider::Cloudflare && !lab { CLOUDFLARE_RANGES.to_vec() } else { vec![] };
    let cdn = Cdn {
        provider,
        ranges: section.or("ranges", default),
        origin_pull_authority: section.get::<PathBuf>("origin_pull_authority"),
        ssl_mode: section.or("ssl_mode", SslMode::FullStrict),
        always_use_https: section.or("always_use_https", false),
        api_token_file: section.get::<PathBuf>("api_token_file"),
    };
    if section.get::<CdnProvider>("provider") == Some(CdnProvider::None) {
        for entry in section.entries().iter().filter(|entry| entry.key != "provider") {
            let message = format!("`{}` means nothing without a CDN", entry.key);
            let help = "remove it, or set `provider`".to_owned();
            section.sheet.report(&entry.key_span, message, help);
        }
    }
    section.finish();
    cdn
}

/// `[acme]`; a lab runs its own authority, so there the directory stays empty unless the file names one.
pub(super) fn acme(section: Section<'_>, lab: bool) -> Acme {
    let directory = section.located::<String>("directory");
    if let Some((url, span)) = &directory
        && !url.starts_with("https://")
    {
        let help = format!("expected such as: \"{LETS_ENCRYPT}\"");
        section.sheet.report(span, format!("\"{url}\" is no https address"), help);
    }
    let email = section.located::<String>("email");
    if let Some((email, span)) = &email
        && !names::is_email(email)
    {
        section.sheet.report(span, format!("\"{email}\" is no email address"), None);
    }
    let names = section.entry("names").and_then(|entry| entry.items()).unwrap_or_default();
    let default = if lab { "" } else { LETS_ENCRYPT };
    let acme = Acme {
        directory: directory.map_or_else(|| default.to_owned(), |(url, _)| url),
        email: email.map(|(email, _)| email),
        root: section.get("root"),
        challenge: section.or("challenge", Challenge::Http01),
        names: names.iter().filter_map(certificate_name).collect(),
    };
    section.finish();
    acme
}

fn certificate_name(entry: &Entry<'_>) -> Option<String> {
    let text = entry.text("a name in quotes")?;
    if is_public_name(text.strip_prefix("*.").unwrap_or(text)) {
        return Some(text.to_owned());
    }
    let help = "expected such as: \"www.example.com\" or \"*.example.com\"".to_owned();
    entry.reject(format!("\"{text}\" cannot stand in a certificate"), help);
    None
}

pub(super) fn fail2ban(section: Section<'_>) -> Fail2banSettings {
    let settings = Fail2banSettings { action: section.or("action", BanAction::Proxy) };
    section.finish();
    settings
}
