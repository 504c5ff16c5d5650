//! Caddy: the one door. TLS for the public name, who the client is, who is banned, and the application behind it.

pub(crate) mod checks;
mod issuer;

use crate::app::SLOTS;
use crate::cloudflare::{self, CLIENT_HEADER, ORIGIN_PULL_AUTHORITY};
use crate::fail2ban::{BANS, JAILS};
use crate::paths::{self, AUTHORITY};
use crate::source::{self, Software};
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Directory, File, Resource, Sysctl, Unit};
use bastide_platform::{Challenge, Endpoint, Flow, Host, Platform, Port, Role};
use bastide_verify::Check;
use std::path::Path;

/// What opens something, where it stands in a URL.
const SECRETS: &str =
    "`(bstinv_|/recover/|/attempts/|[?&](?:code|state|id_token_hint|login_hint|sealed)=)[^&/?#]+`";
/// The access log: one JSON object a request.
pub const ACCESS_LOG: &str = "/var/log/caddy/access.log";
/// The administration socket.
pub const ADMIN_SOCKET: &str = "/run/caddy/admin.sock";

/// Where the edge asks itself for slots that are not ready, and under which name.
const UNREADY_SOCKET: &str = "/run/caddy/unready.sock";
const UNREADY: &str = "unready";

const NAME: &str = "caddy";
const ACME_ROOT: &str = "/etc/bastide/acme-root.pem";

/// The component.
pub struct Caddy;

impl Component for Caddy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Application
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::Edge)
    }

    fn flows(&self, platform: &Platform) -> Vec<Flow> {
        let edge = || Endpoint::Role(Role::Edge);
        let flow = |port, purpose| Flow::new(cloudflare::visitors(platform), edge(), port, purpose);
        let mut flows = vec![
            flow(Port::tcp(80), "HTTP: redirect, and the ACME challenge"),
            flow(Port::tcp(443), "HTTPS"),
        ];
        if !cloudflare::in_front(platform) {
            flows.push(flow(Port::udp(443), "HTTP/3"));
        }
        flows
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let platform = context.platform;
        check_challenge(platform, host)?;
        let source = source::source(Software::Caddy, host.os)
            .map_err(|error| ComponentError::new(NAME, host, &error))?;
        let mut resources = source.resources(NAME);
        let logs = Directory::new("/var/log/caddy").owned_by(NAME, NAME, 0o750);
        resources.push(Resource::new(NAME, logs));
        for path in [BANS.to_owned()].into_iter().chain(JAILS.map(|jail| format!("{BANS}/{jail}"))) {
            let directory = Directory::new(&path).owned_by("root", NAME, 0o750);
            resources.push(Resource::new(NAME, directory));
        }
        if let Some(root) = &platform.settings.acme.root {
            let content = read_pem(NAME, platform, host, root)?;
            resources.push(Resource::new(NAME, File::new(ACME_ROOT, content)));
        }
        if !cloudflare::in_front(platform) {
            // QUIC's own advice; Caddy could raise its buffers itself only as an administrator of the network.
            let values = ["net.core.rmem_max", "net.core.wmem_max"];
            let values = values.map(|key| (key.to_owned(), "7500000".to_owned())).into();
            resources.push(Resource::new(NAME, Sysctl { name: NAME.to_owned(), values }));
        }
        let drop_in = Resource::new(NAME, drop_in());
        let caddyfile = Resource::new(NAME, caddyfile(platform));
        let mut unit = Unit::running("caddy.service").restarted_by([&drop_in]).reloaded_by([&caddyfile]);
        // Caddy reads the authorities that it trusts when it reads its configuration.
        unit.reload_on.push(paths::file(AUTHORITY));
        if cloudflare::in_front(platform) {
            unit.reload_on.push(paths::file(ORIGIN_PULL_AUTHORITY));
        }
        if platform.settings.acme.root.is_some() {
            unit.reload_on.push(paths::file(ACME_ROOT));
        }
        resources.extend([drop_in, caddyfile, Resource::new(NAME, unit)]);
        Ok(resources)
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        checks::checks(context)
    }
}

/// Reads a certificate that the platform file names.
pub fn read_pem(
    component: &'static str,
    platform: &Platform,
    host: &Host,
    path: &Path,
) -> Result<String, ComponentError> {
    let path = platform.resolve(path);
    let failed = |reason: String| ComponentError::new(component, host, &reason);
    let content = std::fs::read_to_string(&path)
        .map_err(|error| failed(format!("read the certificate {}: {error}", path.display())))?;
    if content.contains("-----BEGIN CERTIFICATE-----") {
        Ok(content)
    } else {
        Err(failed(format!("{} holds no certificate in PEM", path.display())))
    }
}

/// A record in DNS is made through a provider's module, and no package of Caddy has one.
fn check_challenge(platform: &Platform, host: &Host) -> Result<(), ComponentError> {
    let acme = &platform.settings.acme;
    let wildcard = acme.names.iter().find(|name| name.starts_with("*."));
    let reason = match (acme.challenge, wildcard) {
        (Challenge::Http01, None) => return Ok(()),
        (Challenge::Dns01, _) => {
            "acme.challenge = \"dns-01\" needs a module for your DNS provider".to_owned()
        }
        (Challenge::Http01, Some(name)) => format!("a certificate for {name} needs the challenge dns-01"),
    };
    let reason = format!(
        "{reason}, and the packages of Caddy have no such module; use http-01 and name every host in acme.names"
    );
    Err(ComponentError::new(NAME, host, &reason))
}

/// The whole configuration; validated as the user that will run it, so that no file becomes another user's.
fn caddyfile(platform: &Platform) -> File {
    let content = [
        global(platform),
        redirect(platform),
        SNIPPETS
            .replace("{{BANS}}", BANS)
            .replace("{{AUTHORITY}}", AUTHORITY)
            .replace("{{JAILS}}", &JAILS.map(|jail| format!("/{jail}/{{client_ip}}")).join(" "))
            .replace("{{ACCESS_LOG}}", ACCESS_LOG)
            .replace("{{SECRETS}}", SECRETS),
        site(platform),
    ];
    let content = content.into_iter().chain(issuer::site(platform)).collect::<Vec<_>>().join("\n");
    File::new("/etc/caddy/Caddyfile", content).validated_by(&[
        "runuser",
        "-u",
        NAME,
        "--",
        "env",
        "HOME=/var/lib/caddy",
        "caddy",
        "validate",
        "--adapter",
        "caddyfile",
        "--config",
        "{}",
    ])
}

fn global(platform: &Platform) -> String {
    let acme = &platform.settings.acme;
    // Without an address, and with two names at once, Caddy registers the second time with an address that is none, and
    // tries again a minute later.
    let email = acme.email.clone().unwrap_or_else(|| format!("hostmaster@{}", platform.domain));
    let servers = if cloudflare::in_front(platform) {
        let ranges: Vec<String> = platform.sources(&Endpoint::Cdn).iter().map(ToString::to_string).collect();
        format!(
            "\t\tprotocols h1 h2\n\
             \t\ttrusted_proxies static {}\n\
             \t\ttrusted_proxies_strict\n\
             \t\tclient_ip_headers {CLIENT_HEADER}\n",
            ranges.join(" ")
        )
    } else {
        "\t\tprotocols h1 h2 h3\n".to_owned()
    };
    format!(
        "\
{{
	admin unix/{ADMIN_SOCKET}
	email {email}
	auto_https disable_redirects
	grace_period 20s
	log {{
		# The slot that rests is asked every two seconds, and never answers.
		exclude http.handlers.reverse_proxy.health_checker.active
	}}
	servers {{
{servers}		strict_sni_host on
		# More than the application takes, so that it says itself what is too much.
		max_header_size 64KB
		timeouts {{
			read_header 10s
			read_body 1m
			idle 20m
		}}
	}}
}}
"
    )
}

fn names(names: &[String], scheme: &str) -> String {
    names.iter().map(|name| format!("{scheme}{name}")).collect::<Vec<_>>().join(", ")
}

fn redirect(platform: &Platform) -> String {
    let mut all = platform.public_names();
    all.extend(platform.issuer_host().map(|_| platform.issuer_domain()));
    format!(
        "\
{} {{
	redir https://{{host}}{{uri}} 308
}}

# Nobody asks this host for another name by mistake.
http:// {{
	abort
}}
",
        names(&all, "http://")
    )
}

/// What holds for every site, for answers from behind it and for errors alike.
const SNIPPETS: &str = "\
(access) {
	log access {
		output file {{ACCESS_LOG}} {
			mode 0640
			roll_size 50MiB
			roll_keep 5
			roll_keep_for 720h
		}
		# What opens something does not stay in a log: invitations' links, codes of a sign-in.
		format filter {
			wrap json
			fields {
				request>uri regexp {{SECRETS}} $1***
				request>headers>Referer regexp {{SECRETS}} $1***
			}
		}
	}
	# A client's own identifier stays where it is sane: what is behind takes over the same ones.
	@unnamed `!({header.X-Request-Id}.matches('^[A-Za-z0-9._-]{1,128}$'))`
	request_header @unnamed X-Request-Id {http.request.uuid}
}

(promises) {
	header {
		Strict-Transport-Security \"max-age=31536000; includeSubDomains\"
		X-Content-Type-Options nosniff
		-Server
		-Via
		defer
	}
	# A line each: what the application says itself stands, and of several in one block all would have to be missing.
	header ?X-Frame-Options DENY
	header ?Referrer-Policy strict-origin-when-cross-origin
	header ?Cross-Origin-Opener-Policy same-origin
	header ?Permissions-Policy \"camera=(), geolocation=(), microphone=()\"
}

# A ban is a file named by the client's address: it acts with the next request, and no reload closes a connection.
(bans) {
	@banned file {
		root {{BANS}}
		try_files {{JAILS}}
	}
	log_append @banned ban yes
	handle @banned {
		error 403
	}
}

(hop) {
	flush_interval -1
	stream_close_delay 5m
	transport http {
		tls_trust_pool file {{AUTHORITY}}
		dial_timeout 1s
		response_header_timeout 60s
	}
}

# An error of the edge's own, in the form that the application's errors have.
(problem) {
	header X-Request-Id {header.X-Request-Id}
	header Cache-Control no-store
	@passing `{err.status_code} in [502, 503, 504]`
	header @passing Retry-After 5
	header Content-Type application/problem+json
	respond `{\"type\":\"about:blank\",\"title\":\"{err.status_text}\",\"status\":{err.status_code},\"request_id\":\"{header.X-Request-Id}\"}`
}
";

/// The slots of every host, and how one is chosen.
fn upstreams(platform: &Platform) -> (String, &'static str) {
    let upstreams: Vec<String> = platform
        .hosts_with(Role::App)
        .flat_map(|app| SLOTS.map(|(_, port, _)| format!("https://{}:{port}", app.address)))
        .collect();
    // One host has one active slot, and the first healthy is it; several hosts share the work.
    let policy = if upstreams.len() == SLOTS.len() { "first" } else { "least_conn" };
    (upstreams.join(" "), policy)
}

fn site(platform: &Platform) -> String {
    let (upstreams, policy) = upstreams(platform);
    format!(
        "\
{names} {{
{tls}
	import access
	import promises
	import bans

	encode zstd gzip

	handle {{
		request_body {{
			max_size 10MB
		}}
		reverse_proxy {upstreams} {{
			lb_policy {policy}
			lb_retries 2
			lb_try_interval 10ms
			health_uri /readyz
			health_interval 2s
			health_timeout 3s
			fail_duration 2s
			header_up X-Forwarded-For {{client_ip}}
			import hop
		}}
	}}

	handle_errors {{
		# What was said above of answers is not said of those that are made here.
		import promises
		encode zstd gzip
		# Nothing has been sent to anybody yet.
		@unready `{{err.message}}.contains('no upstreams available') || {{err.message}}.startsWith('dial ')`
		handle @unready {{
			reverse_proxy unix/{UNREADY_SOCKET} {{
				header_up Host {UNREADY}
				header_up Edge-Host {{host}}
				header_up Edge-Client {{client_ip}}
				flush_interval -1
			}}
		}}
		handle {{
			import problem
		}}
	}}
}}

# Where no slot is ready, one that is alive says itself what is missing and does what it can without; or the next one is
# there in a moment.
http://{UNREADY} {{
	bind unix/{UNREADY_SOCKET}|0600
	reverse_proxy {upstreams} {{
		lb_policy {policy}
		lb_try_duration 5s
		lb_try_interval 100ms
		fail_duration 2s
		header_up Host {{header.Edge-Host}}
		header_up X-Forwarded-For {{header.Edge-Client}}
		header_up -Edge-*
		import hop
	}}
	handle_errors {{
		import problem
	}}
}}
",
        names = names(&platform.public_names(), "https://"),
        tls = tls(platform),
    )
}

/// Who signs the certificate, and who may connect at all.
fn tls(platform: &Platform) -> String {
    let acme = &platform.settings.acme;
    let mut lines = vec!["\ttls {".to_owned(), "\t\tissuer acme {".to_owned()];
    lines.push(format!("\t\t\tdir {}", acme.directory));
    if acme.root.is_some() {
        lines.push(format!("\t\t\ttrusted_roots {ACME_ROOT}"));
    }
    if cloudflare::in_front(platform) {
        lines.push("\t\t\tdisable_tlsalpn_challenge".to_owned());
    }
    lines.push("\t\t}".to_owned());
    if cloudflare::in_front(platform) {
        lines.push("\t\tclient_auth {".to_owned());
        lines.push("\t\t\tmode require_and_verify".to_owned());
        lines.push(format!("\t\t\ttrust_pool file {ORIGIN_PULL_AUTHORITY}"));
        lines.push("\t\t}".to_owned());
    }
    lines.push("\t}".to_owned());
    lines.join("\n")
}

fn drop_in() -> File {
    let content = "\
[Service]
RuntimeDirectory=caddy
RuntimeDirectoryMode=0750
TimeoutStopSec=30
Restart=on-failure
RestartSec=1
AmbientCapabilities=
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
ReadWritePaths=/var/lib/caddy /var/log/caddy
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
";
    File::new("/etc/systemd/system/caddy.service.d/bastide.conf", content)
}
