//! fail2ban: who tries doors is turned away where their address is known.
//!
//! Behind a CDN every packet comes from the CDN, so a ban in the firewall would block nobody or everybody. A ban is a
//! file that Caddy looks for with every request, and, where the platform file names a token, a rule at the CDN.
//! Attempts at SSH come with their own address, and are banned in the firewall.

mod checks;

use crate::caddy::ACCESS_LOG;
use crate::cloudflare;
use crate::source::{self, Software};
use crate::{Component, ComponentError, Context, Step, secrets};
use bastide_converge::resource::{Directory, File, Packages, Resource, Unit};
use bastide_platform::{BanAction, Endpoint, Host, Platform, Role};
use bastide_verify::Check;

/// Directory of the bans: one directory a jail, one file an address. Caddy can read it and cannot write it.
pub const BANS: &str = "/var/lib/fail2ban/bans";
/// Jails that read Caddy's access log.
pub const JAILS: [&str; 2] = ["caddy-refused", "caddy-probes"];

const NAME: &str = "fail2ban";
const CDN_SCRIPT: &str = "/usr/local/lib/bastide/cloudflare-ban";
const CDN_TOKEN: &str = "/etc/bastide/cloudflare.token";

/// The component.
pub struct Fail2ban;

impl Component for Fail2ban {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Application
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::Edge)
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let platform = context.platform;
        let source = source::source(Software::Fail2ban, host.os)
            .map_err(|error| ComponentError::new(NAME, host, &error))?;
        let mut resources = source.resources(NAME);
        // The first reads sshd's messages from the journal, the second bans.
        let names = ["python3-systemd", "nftables"].map(str::to_owned).into();
        resources.push(Resource::new(NAME, Packages { names, release: None, at_least: None }));

        let mut configuration = vec![
            File::new("/etc/fail2ban/fail2ban.d/bastide.conf", "[DEFAULT]\ndbpurgeage = 30d\n"),
            File::new("/etc/fail2ban/filter.d/caddy-refused.conf", REFUSED),
            File::new("/etc/fail2ban/filter.d/caddy-probes.conf", PROBES),
            File::new("/etc/fail2ban/action.d/caddy-ban.conf", caddy_action()),
            File::new("/etc/fail2ban/jail.d/bastide.conf", jails(platform)),
        ];
        if let Some(path) = &platform.settings.cdn.api_token_file {
            let token = secrets::written_by_operator(&platform.resolve(path))
                .map_err(|error| ComponentError::new(NAME, host, &error))?;
            let token = format!("{}\n", token.reveal());
            configuration.push(File::new(CDN_TOKEN, token).owned_by("root", "root", 0o400).sensitive());
            configuration.push(File::new(CDN_SCRIPT, CDN_BAN).owned_by("root", "root", 0o755));
            configuration.push(File::new("/etc/fail2ban/action.d/cdn-ban.conf", cdn_action(platform)));
            let directory = Directory::new("/usr/local/lib/bastide");
            resources.push(Resource::new(NAME, directory));
        }
        let configuration: Vec<Resource> =
            configuration.into_iter().map(|file| Resource::new(NAME, file)).collect();
        let unit = Unit::running("fail2ban.service").restarted_by(&configuration);
        resources.extend(configuration);
        resources.push(Resource::new(NAME, unit));
        Ok(resources)
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        checks::checks(context)
    }
}

/// Requests that were refused: guessing at tokens and passwords. Who is answered 403 was recognized, and a request that a
/// ban refused is no further attempt.
///
/// Caddy escapes quotation marks in what clients send, so no header or path can pretend to be a field of the log.
const REFUSED: &str = r#"[Definition]
datepattern = "ts":{EPOCH}
failregex = ^\{.*?"client_ip":"<ADDR>",.*"status":401,
ignoreregex = "ban":"yes"
"#;

/// Requests for what other people's software leaves lying about; nothing here ever had such a path.
const PROBES: &str = r#"[Definition]
datepattern = "ts":{EPOCH}
failregex = ^\{.*?"client_ip":"<ADDR>",.*?"uri":"[^"?]*(?:/\.(?:env|git|svn|hg|aws|ssh|DS_Store|htpasswd|htaccess)\b|/wp-(?:login|admin|content|includes|config)|/xmlrpc\.php|/phpmyadmin|/vendor/phpunit|/cgi-bin/|/boaform|/actuator/|/server-status|\.(?:php|asp|aspx|jsp|cgi)\b).*"status":(?:400|403|404|405),
ignoreregex = "ban":"yes"
"#;

/// A ban is a file, which Caddy must be able to open. Those that a crash left are removed at the start, and fail2ban bans again whom its database names.
fn caddy_action() -> String {
    format!(
        "\
[Definition]
actionstart = find {BANS}/<name> -type f -delete
actionstop =
actioncheck =
actionban = install -m 0644 /dev/null {BANS}/<name>/<ip>
actionunban = rm -f {BANS}/<name>/<ip>
actionflush = find {BANS}/<name> -type f -delete
"
    )
}

fn jails(platform: &Platform) -> String {
    let known = [Endpoint::Operator, Endpoint::Cdn].map(|endpoint| platform.sources(&endpoint)).concat();
    let ignored: Vec<String> = std::iter::once(platform.private_network)
        .chain(known.into_iter().filter(|network| network.prefix_len() > 0))
        .map(|network| network.to_string())
        .collect();
    let mut text = format!(
        "\
[DEFAULT]
ignoreip = 127.0.0.0/8 ::1 {}
usedns = no
bantime.increment = true
bantime.maxtime = 1w
banaction = nftables
banaction_allports = nftables[type=allports]

[sshd]
enabled = true
backend = systemd
mode = aggressive
maxretry = 5
findtime = 10m
bantime = 1h
",
        ignored.join(" ")
    );
    // Many people can share an address, so a mistyped password must not shut out an office.
    for (jail, retries, findtime, bantime) in [(JAILS[0], 30, "5m", "1h"), (JAILS[1], 5, "10m", "1d")] {
        text += &format!(
            "
[{jail}]
enabled = true
backend = polling
logpath = {ACCESS_LOG}
filter = {jail}
maxretry = {retries}
findtime = {findtime}
bantime = {bantime}
action = {action}
",
            action = action(platform, jail),
        );
    }
    text
}

/// Where a ban of `jail` acts.
fn action(platform: &Platform, jail: &str) -> String {
    let mut actions = vec![match platform.settings.fail2ban.action {
        BanAction::Proxy => format!("caddy-ban[name={jail}]"),
        BanAction::Firewall => {
            format!("nftables[type=multiport, name={jail}, port=\"80,443\", protocol=tcp]")
        }
    }];
    if cloudflare::in_front(platform) && platform.settings.cdn.api_token_file.is_some() {
        actions.push("cdn-ban".to_owned());
    }
    actions.join("\n         ")
}

fn cdn_action(platform: &Platform) -> String {
    format!(
        "\
[Definition]
actionstart =
actionstop =
actioncheck =
actionban = {CDN_SCRIPT} ban {domain} <ip>
actionunban = {CDN_SCRIPT} unban {domain} <ip>
",
        domain = platform.domain,
    )
}

/// Asks the CDN's API for an access rule of the zone. The token is read from its file and never stands in an argument.
const CDN_BAN: &str = include_str!("fail2ban/cloudflare_ban.py");
