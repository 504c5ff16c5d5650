//! Platform files as text, with the comments that a newcomer needs.

use super::answers::{Answers, CdnAnswer};
use crate::{LETS_ENCRYPT, OperatingSystem, Role};
use ipnet::Ipv4Net;
use std::fmt::Write;
use std::net::Ipv4Addr;

const LAB: &str = include_str!("lab.toml");

/// The platform file of a lab in `network`, a quarter of 198.51.100.0/24; the edge has its tenth address.
pub fn render_lab(name: &str, network: Ipv4Net, domain: &str) -> String {
    let edge = Ipv4Addr::from(u32::from(network.network()) + 10);
    LAB.replace("{name}", &aligned(name, "name"))
        .replace("{domain}", &aligned(domain, "domain"))
        .replace("{edge}", &edge.to_string())
        .replace("{network}", &network.to_string())
}

/// The quoted value, padded so that the comments after it stand in one column.
fn aligned(value: &str, key: &str) -> String {
    const COLUMN: usize = 34;
    let quoted = quoted(value);
    let width = COLUMN.saturating_sub(key.len() + " = ".len());
    format!("{quoted:<width$}")
}

/// The platform file that the answers describe.
pub fn render(answers: &Answers) -> String {
    let mut file = String::new();
    head(&mut file, answers);
    hosts(&mut file, answers);
    access(&mut file, answers);
    border(&mut file, answers);
    file.push_str(REST);
    file
}

const REST: &str = "
# Sessions and queue on one Valkey, the cache on another: a server has one policy for what happens when it is full.
[valkey.durable]
memory_mb = 512
eviction = \"noeviction\"
persistence = \"append-only\"

[valkey.cache]
memory_mb = 1024
eviction = \"allkeys-lfu\"
persistence = \"none\"

# Your application: a static binary, from which Bastide makes the image. Without one the reference application
# runs. Secrets do not belong here: everyone who works on the platform reads this file.
# [app]
# binary = \"target/release/shop\"
# [app.environment]
# LOG_LEVEL = \"info\"

# Who signs people in, and how mail is sent. The files hold the secrets, and nobody but you can read them.
# [app.sign_in]
# issuer = \"https://login.example\"
# client_id = \"shop\"
# client_secret_file = \"secrets/sign-in\"
# [app.mail]
# url = \"smtps://shop@mail.example\"
# from = \"Shop <no-reply@shop.example>\"
# password_file = \"secrets/mail\"

# Traffic beyond what the components need themselves. There is no other; everything else is denied.
# [[flows]]
# from = \"app\"                    # a role, every-host, internet, cdn, operator, an address or a network
# to = \"db\"                       # a role or every-host
# port = 5433                     # or \"5433/udp\"
# purpose = \"reporting database\"
";

fn head(file: &mut String, answers: &Answers) {
    push(
        file,
        &format!("# {}: the whole platform. docs/platform-file.md names every setting.", answers.name),
    );
    push(file, "#");
    push(file, "#   bastide lint          says what in this file does not go together");
    push(file, "#   bastide plan          says what would change on the hosts, and changes nothing");
    push(file, "#   bastide up            builds the platform, verifying each step before the next");
    push(file, "#   bastide verify        checks every claim with live traffic");
    push(file, "");
    push(file, &format!("name = {}", quoted(&answers.name)));
    push(file, "# The application answers at the domain; other names hang below it.");
    push(file, &format!("domain = {}", quoted(&answers.domain)));
    push(file, &format!("os = {}", quoted(answers.os.as_str())));
    push(file, "# The hosts share this network and nobody else reaches it.");
    push(file, &format!("private_network = {}", quoted(&answers.private_network.to_string())));
}

fn hosts(file: &mut String, answers: &Answers) {
    push(
        file,
        "\n# Exactly one host is the edge: proxy, bastion and way out, the only one with a public address.",
    );
    push(file, "# A host may hold several roles, and every role but the edge may be on several hosts.");
    push(file, "# `memory_mb` sizes the servers' buffers.");
    for role in [Role::Edge, Role::App, Role::Db, Role::Cache, Role::Identity] {
        push(file, &format!("\n[hosts.{role}]\nroles = [\"{role}\"]"));
        push(file, &format!("address = \"{}\"", answers.private.get(role)));
        if role == Role::Edge {
            push(file, &format!("public_address = \"{}\"", answers.public_address));
        }
        if role == Role::Cache && answers.os == OperatingSystem::Ubuntu2404 {
            push(file, "# Ubuntu 24.04 has no Valkey that is safe to run.");
            push(file, &format!("os = \"{}\"", OperatingSystem::Ubuntu2604));
        }
        push(file, "memory_mb = 4096");
    }
}

fn access(file: &mut String, answers: &Answers) {
    push(file, "\n# Who may log in, and from where. The edge answers SSH to these addresses alone.");
    push(file, "[operator]");
    push(file, &list("addresses", answers.operator_addresses.iter().map(short)));
    push(file, &list("keys", answers.operator_keys.iter().cloned()));
    push(file, "\n# root, or a user who may use sudo without a password.");
    push(file, &format!("[ssh]\nuser = {}", quoted(&answers.login)));
}

/// A network of one address as that address.
fn short(network: &Ipv4Net) -> String {
    if network.prefix_len() == 32 { network.addr().to_string() } else { network.to_string() }
}

fn border(file: &mut String, answers: &Answers) {
    push(file, "");
    match &answers.cdn {
        CdnAnswer::None => {
            push(file, "# Nothing stands in front of the edge: ports 80 and 443 are open to everyone.");
            push(file, "[cdn]\nprovider = \"none\"");
        }
        CdnAnswer::Cloudflare { origin_pull_authority } => {
            push(
                file,
                "# Ports 80 and 443 are open to Cloudflare's ranges alone, and only to a client that holds",
            );
            push(file, "# the certificate of your zone's origin pulls, which this authority signed.");
            push(file, "[cdn]\nprovider = \"cloudflare\"\nssl_mode = \"full-strict\"");
            push(
                file,
                &format!("origin_pull_authority = {}", quoted(&origin_pull_authority.to_string_lossy())),
            );
        }
    }
    push(file, "\n[acme]");
    push(file, &format!("directory = \"{LETS_ENCRYPT}\""));
    match &answers.email {
        Some(email) => push(file, &format!("email = {}", quoted(email))),
        None => push(file, "# email = \"ops@example.com\"   # for the authority's notices"),
    }
    push(file, "challenge = \"http-01\"");
    push(
        file,
        "\n# A ban acts where the client's address is known: in Caddy.\n[fail2ban]\naction = \"proxy\"",
    );
}

fn list(key: &str, items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.map(|item| quoted(&item)).collect();
    match items.len() {
        0 | 1 => format!("{key} = [{}]", items.concat()),
        _ => format!("{key} = [\n    {},\n]", items.join(",\n    ")),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn push(file: &mut String, line: &str) {
    writeln!(file, "{line}").expect("writing to a string cannot fail");
}
