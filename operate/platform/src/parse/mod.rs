//! Reading `platform.toml`: strictly, and with every mistake at once.

mod app;
mod choices;
mod edge;
mod flows;
mod hosts;
mod identity;
pub(crate) mod names;
mod nearest;
mod section;
mod services;
#[cfg(test)]
pub(crate) mod tests;
mod url;
mod values;

pub use edge::{CLOUDFLARE_RANGES, LETS_ENCRYPT};
pub(crate) use hosts::is_login;
pub use services::PGBOUNCER_FLOOR;

use crate::host::{HostName, OperatingSystem, Ssh};
use crate::problem::PlatformErrors;
use crate::settings::Settings;
use crate::{Flow, Platform};
use section::{Section, Sheet};
use std::path::Path;
use toml::de::DeTable;

impl Platform {
    /// Reads the platform file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or everything that is wrong with it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PlatformErrors> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| PlatformErrors::unreadable(path, &error))?;
        Self::parse(&text, path)
    }

    /// Reads a platform from the text of its file; `path` is named in errors, and relative paths in the file
    /// start at its directory.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self, PlatformErrors> {
        let path = path.as_ref();
        let (table, syntax) = DeTable::parse_recoverable(text);
        let table = table.into_inner();
        let sheet = Sheet::new(text, !syntax.is_empty());
        let platform = platform(&Section::root(&sheet, &table), path);
        let locations = sheet.locations(&table);
        let syntax = syntax.iter().map(|error| (error.span().unwrap_or(0..0), error.message().to_owned()));
        let problems = sheet.into_problems(syntax.collect());
        match platform {
            Some(platform) if problems.is_empty() => Ok(Self { locations, ..platform }),
            _ => Err(PlatformErrors { path: path.to_owned(), problems }),
        }
    }
}

/// Reads everything, so that every mistake is found, and only then gives up.
fn platform(root: &Section<'_>, path: &Path) -> Option<Platform> {
    let name = root.require::<HostName>("name", "name = \"bastide\"");
    let lab_section = root.optional_section("lab");
    let in_lab = lab_section.is_some();
    let lab = lab_section.and_then(edge::lab);
    let domain = domain(root, in_lab);
    let os = operating_system(root, in_lab);
    let private_network = private_network(root);
    let ssh = hosts::ssh(root.section("ssh"), &Ssh { user: "root".to_owned(), port: 22 });
    let common = hosts::Common { os, ssh, private_network, lab: lab.clone() };
    let drafts = hosts::read(root, &common);
    let directory = path.parent().unwrap_or(Path::new(""));
    let settings = Settings {
        operator: edge::operator(root.section("operator"), in_lab, directory),
        cdn: edge::cdn(root.section("cdn"), in_lab),
        acme: edge::acme(root.section("acme"), in_lab),
        fail2ban: edge::fail2ban(root.section("fail2ban")),
        app: app::read(root.section("app")),
        postgres: services::postgres(root.section("postgres")),
        pgbouncer: services::pgbouncer(root.section("pgbouncer")),
        valkey: services::valkey(root.section("valkey")),
        identity: identity::read(root.section("identity"), in_lab),
        lab,
    };
    let around = flows::Surroundings { hosts: &drafts, private_network, cdn: settings.cdn.provider };
    let extra_flows: Vec<Flow> = flows::read(root, &around);
    root.report_unknown();
    Some(Platform {
        name: name?.as_str().to_owned(),
        domain: domain?,
        private_network: private_network?,
        hosts: drafts.into_iter().map(hosts::Draft::finish).collect::<Option<_>>()?,
        extra_flows,
        settings,
        source: path.to_owned(),
        locations: Default::default(),
    })
}

fn domain(root: &Section<'_>, lab: bool) -> Option<String> {
    let (domain, span) = root.require_located::<String>("domain", "domain = \"example.com\"")?;
    if let Some(help) = names::wrong_domain(&domain) {
        root.sheet.report(&span, format!("\"{domain}\" cannot be a platform's domain"), help.to_owned());
        return None;
    }
    if lab && !domain.ends_with(".test") {
        let help = "expected a name under .test, which the internet does not have".to_owned();
        root.sheet.report(&span, format!("a lab cannot take the name {domain}"), help);
        return None;
    }
    Some(domain)
}

fn operating_system(root: &Section<'_>, lab: bool) -> Option<OperatingSystem> {
    let (os, span) = root.require_located::<OperatingSystem>("os", "os = \"debian-14\"")?;
    if lab && !matches!(os, OperatingSystem::Debian14 | OperatingSystem::Debian13) {
        let help = "expected \"debian-14\" or \"debian-13\"".to_owned();
        root.sheet.report(&span, format!("a lab cannot boot {os}"), help);
    }
    Some(os)
}

fn private_network(root: &Section<'_>) -> Option<ipnet::Ipv4Net> {
    let example = "private_network = \"10.0.0.0/24\"";
    let (network, span) = root.require_located::<ipnet::Ipv4Net>("private_network", example)?;
    if !network.network().is_private() || !network.broadcast().is_private() || network.prefix_len() > 29 {
        let help =
            "expected a network of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 with room for the hosts";
        root.sheet.report(&span, format!("{network} cannot be the private network"), help.to_owned());
    }
    Some(network)
}
