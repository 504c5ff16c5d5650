//! The world around the hosts: an ACME authority, and a CDN that treats the edge as Cloudflare treats an origin.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::addresses::Addresses;
use crate::certificates::Certificates;
use crate::command;
use crate::error::{Result, file_error};
use crate::host;
use crate::image::Image;
use crate::machine::{Machine, OwnFile, Program};
use crate::names;
use crate::paths;
use crate::spec::LabSpec;

const ACME_CONFIGURATION: &str = "/etc/pebble.json";
const ACME_AUTHORITY: &str = "/etc/ssl/acme-authority.pem";
const ACME_CERTIFICATE: &str = "/etc/ssl/acme.pem";
const ACME_KEY: &str = "/etc/ssl/acme.key";
/// The ACME authority's own management interface, where it tells the root it signs with.
const ACME_MANAGEMENT_PORT: u16 = 15000;

const CDN_CONFIGURATION: &str = "/etc/caddy/cdn.json";
const CDN_CERTIFICATE: &str = "/etc/caddy/cdn.pem";
const CDN_KEY: &str = "/etc/caddy/cdn.key";
const ORIGIN_PULL_CERTIFICATE: &str = "/etc/caddy/origin-pull.pem";
const ORIGIN_PULL_KEY: &str = "/etc/caddy/origin-pull.key";
/// The roots the CDN accepts an origin's certificate from.
const ORIGIN_ROOTS: &str = "/etc/caddy/origin-roots.pem";
/// Where the CDN's own administration listens, inside its namespace only.
const CDN_ADMIN: &str = "127.0.0.1:2019";

pub(crate) const HTTPS: u16 = 443;
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// The ACME authority.
pub(crate) fn acme(spec: &LabSpec) -> Machine<'_> {
    Machine { lab: &spec.name, name: "acme", image: Image::World }
}

/// The CDN.
pub(crate) fn cdn(spec: &LabSpec) -> Machine<'_> {
    Machine { lab: &spec.name, name: "cdn", image: Image::World }
}

/// URL of the ACME directory.
pub(crate) fn acme_directory(spec: &LabSpec) -> String {
    format!("https://{}/dir", spec.acme_name())
}

/// Starts the ACME authority, whose namespace is there, and waits until it answers.
pub(crate) fn start_acme(spec: &LabSpec, certificates: &Certificates) -> Result<()> {
    let machine = acme(spec);
    machine.discard()?;
    machine.prepare(|| {
        Ok(vec![
            OwnFile::public("/etc/hosts", names::file_of_world(spec)),
            OwnFile::public("/etc/resolv.conf", host::resolver(spec)?),
            OwnFile::public(ACME_CONFIGURATION, acme_configuration().to_string()),
            OwnFile::public(ACME_AUTHORITY, certificates.read("acme-authority.pem")?),
            OwnFile::public(ACME_CERTIFICATE, certificates.read("acme.pem")?),
            OwnFile::secret(ACME_KEY, certificates.read("acme.key")?),
        ])
    })?;
    machine.start(&Program::Serve {
        command: &["/usr/bin/pebble", "-strict", "-config", ACME_CONFIGURATION],
        environment: &["PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"],
    })?;
    let address = (Addresses::of(spec.public_network).acme, HTTPS).into();
    machine.wait_for("answer", || accepts(address))
}

/// Starts the CDN, whose namespace is there, and waits until it answers. The ACME authority must answer.
pub(crate) fn start_cdn(spec: &LabSpec, certificates: &Certificates) -> Result<()> {
    let machine = cdn(spec);
    machine.discard()?;
    let roots = collect_roots(spec, certificates)?;
    machine.prepare(|| {
        Ok(vec![
            OwnFile::public("/etc/hosts", names::file_of_world(spec)),
            OwnFile::public("/etc/resolv.conf", host::resolver(spec)?),
            OwnFile::public(CDN_CONFIGURATION, cdn_configuration(spec).to_string()),
            OwnFile::public(CDN_CERTIFICATE, certificates.read("cdn.pem")?),
            OwnFile::secret(CDN_KEY, certificates.read("cdn.key")?),
            OwnFile::public(ORIGIN_PULL_CERTIFICATE, certificates.read("origin-pull.pem")?),
            OwnFile::secret(ORIGIN_PULL_KEY, certificates.read("origin-pull.key")?),
            OwnFile::public(ORIGIN_ROOTS, roots),
        ])
    })?;
    machine.start(&Program::Serve {
        command: &["/usr/bin/caddy", "run", "--config", CDN_CONFIGURATION],
        environment: &["HOME=/root"],
    })?;
    let address = (Addresses::of(spec.public_network).cdn, HTTPS).into();
    machine.wait_for("answer", || accepts(address))
}

/// Makes a CDN that runs accept the ACME authority's present root too: the authority has a new one at each start.
pub(crate) fn reload_cdn(spec: &LabSpec, certificates: &Certificates) -> Result<()> {
    let reload = ["caddy", "reload", "--force", "--address", CDN_ADMIN, "--config", CDN_CONFIGURATION];
    let machine = cdn(spec);
    let (Some(file), Some(mut command)) = (machine.live(ORIGIN_ROOTS), machine.command(&reload)) else {
        return Ok(());
    };
    let roots = collect_roots(spec, certificates)?;
    paths::write_file(&file, roots.as_bytes(), 0o644)?;
    let attempted = "tell the CDN the ACME authority's root";
    let output = command::output(attempted, &mut command)?;
    command::succeeded(attempted, &command, &output)
}

/// Every root the ACME authority has had since the lab was made: the edge may still have a certificate from before.
pub(crate) fn collect_roots(spec: &LabSpec, certificates: &Certificates) -> Result<String> {
    let present = acme_root(spec)?;
    let file = certificates.path("origin-roots.pem");
    let mut roots = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(file_error("read", &file)(error)),
    };
    if !roots.contains(&present) {
        roots += &present;
        paths::write_file(&file, roots.as_bytes(), 0o644)?;
    }
    Ok(roots)
}

/// The root the ACME authority signs with at present, asked of its management interface.
pub(crate) fn acme_root(spec: &LabSpec) -> Result<String> {
    let url = format!("https://{}:{ACME_MANAGEMENT_PORT}/roots/0", spec.acme_name());
    acme(spec).wait_for("root certificate", || {
        let arguments = ["curl", "--silent", "--fail", "--max-time", "5", "--cacert", ACME_AUTHORITY, &url];
        let output = acme(spec).command(&arguments)?.output().ok()?;
        let root = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && root.contains("BEGIN CERTIFICATE")).then_some(root)
    })
}

/// Whether somebody takes connections there.
pub(crate) fn accepts(address: SocketAddr) -> Option<()> {
    TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).ok().map(drop)
}

fn acme_configuration() -> Value {
    json!({"pebble": {
        "listenAddress": format!("0.0.0.0:{HTTPS}"),
        "managementListenAddress": format!("0.0.0.0:{ACME_MANAGEMENT_PORT}"),
        "certificate": ACME_CERTIFICATE,
        "privateKey": ACME_KEY,
        "httpPort": 80,
        "tlsPort": HTTPS,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": false,
        "retryAfter": {"authz": 1, "order": 1},
        "keyAlgorithm": "ecdsa",
        "profiles": {
            "default": {"description": "ninety days", "validityPeriod": 7_776_000},
            "shortlived": {"description": "six days", "validityPeriod": 518_400},
        },
    }})
}

fn cdn_configuration(spec: &LabSpec) -> Value {
    let address = Addresses::of(spec.public_network).cdn;
    let server = |port: u16, scheme: &str| {
        // A route a name, so that each has connections to the origin of its own, as at Cloudflare: one that was opened for
        // a name is refused another one.
        let mut routes: Vec<Value> = spec.names.iter().map(|name| route(spec, name, port, scheme)).collect();
        let nobody = "error 1001: no such site\n";
        routes.push(json!({"handle": [{"handler": "static_response", "status_code": 409, "body": nobody}]}));
        json!({
            "listen": [format!("{address}:{port}")],
            "automatic_https": {"disable": true},
            "routes": routes,
            "errors": {"routes": error_routes()},
        })
    };
    let mut secure = server(HTTPS, "https");
    secure["protocols"] = json!(["h1", "h2", "h3"]);
    secure["tls_connection_policies"] = json!([{}]);
    json!({
        "admin": {"listen": CDN_ADMIN},
        "apps": {
            "http": {"servers": {"http": server(80, "http"), "https": secure}},
            "tls": {"certificates": {"load_files": [{"certificate": CDN_CERTIFICATE, "key": CDN_KEY}]}},
        },
    })
}

/// What is done with requests for a name.
fn route(spec: &LabSpec, name: &str, port: u16, scheme: &str) -> Value {
    json!({
        "match": [{"host": [name]}],
        "terminal": true,
        "handle": [
            // What a client says of itself in these headers, a CDN throws away.
            {"handler": "headers", "request": {"delete": ["Cf-*"]}},
            proxy(spec, port, scheme),
        ],
    })
}

/// Forwards to the origin's same port, as Cloudflare does in mode "Full (strict)" with authenticated origin pulls.
fn proxy(spec: &LabSpec, port: u16, scheme: &str) -> Value {
    let mut transport = json!({
        "protocol": "http",
        "dial_timeout": "10s",
        "response_header_timeout": "100s",
        "local_address": Addresses::of(spec.public_network).cdn_egress.to_string(),
        // Encoding is between the client and the origin.
        "compression": false,
    });
    if scheme == "https" {
        transport["tls"] = json!({
            "server_name": "{http.request.host}",
            "ca": {"provider": "file", "pem_files": [ORIGIN_ROOTS]},
            "client_certificate_file": ORIGIN_PULL_CERTIFICATE,
            "client_certificate_key_file": ORIGIN_PULL_KEY,
        });
    }
    json!({
        "handler": "reverse_proxy",
        "upstreams": [{"dial": format!("{}:{port}", spec.origin_address())}],
        "transport": transport,
        // Appends the client to what it sent in X-Forwarded-For, as Cloudflare does: whoever believes the first entry
        // believes the client.
        "trusted_proxies": ["0.0.0.0/0"],
        "headers": {
            "request": {"set": {
                "Host": ["{http.request.hostport}"],
                "Cf-Connecting-Ip": ["{http.request.remote.host}"],
                "Cf-Ray": ["{http.request.uuid}"],
                "Cf-Visitor": [format!("\\{{\"scheme\":\"{scheme}\"\\}}")],
                "Cf-Ipcountry": ["XX"],
                "Cdn-Loop": ["lab"],
                "X-Forwarded-Proto": [scheme],
            }},
            "response": {
                "set": {"Server": ["lab-cdn"], "Cf-Ray": ["{http.request.uuid}"], "Cf-Cache-Status": ["DYNAMIC"]},
                // What the origin offers at its own address is not on offer here.
                "delete": ["Alt-Svc"],
            },
        },
    })
}

/// Cloudflare's own status codes for an origin that does not answer as it must.
fn error_routes() -> Vec<Value> {
    let message = "{http.error.message}";
    [
        (
            521,
            format!("{message}.contains('connection refused') || {message}.contains('connection reset')"),
            "the origin refused the connection",
        ),
        (
            522,
            format!("{message}.contains('i/o timeout') && {message}.contains('dial')"),
            "the connection to the origin timed out",
        ),
        (
            523,
            format!("{message}.contains('no route to host') || {message}.contains('network is unreachable')"),
            "the origin is unreachable",
        ),
        (
            524,
            format!("{message}.contains('timeout awaiting response headers')"),
            "the origin did not answer in time",
        ),
        (526, format!("{message}.contains('x509:')"), "the origin's certificate is not valid"),
        (525, format!("{message}.contains('tls:')"), "the TLS handshake with the origin failed"),
    ]
    .into_iter()
    .map(|(status, expression, text)| {
        json!({
            "match": [{"expression": expression}],
            "terminal": true,
            "handle": [failure(status, text)],
        })
    })
    .chain([json!({"handle": [failure(520, "the origin answered in a way that makes no sense")]})])
    .collect()
}

fn failure(status: u16, text: &str) -> Value {
    json!({
        "handler": "static_response",
        "status_code": status,
        "headers": {"Server": ["lab-cdn"], "Content-Type": ["text/plain; charset=utf-8"]},
        "body": format!("error {status}: {text}\n"),
    })
}
