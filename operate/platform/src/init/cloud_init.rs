//! User data that makes a fresh server reachable, in the form that providers hand to cloud-init.

use crate::{Host, Platform};
use std::fmt::Write;

/// User data for `host`: its name, and the operator's keys for the login that the platform file names.
///
/// Installs nothing, since a private host has no way out before the edge is built.
pub fn cloud_init(platform: &Platform, host: &Host) -> String {
    let mut data = String::from("#cloud-config\n");
    head(&mut data, platform, host);
    push(&mut data, &format!("hostname: {}", host.name));
    push(&mut data, &format!("fqdn: {}.{}", host.name, platform.domain));
    push(&mut data, "ssh_pwauth: false");
    login(&mut data, platform, host);
    if host.ssh.port != 22 {
        port(&mut data, host.ssh.port);
    }
    data
}

fn head(data: &mut String, platform: &Platform, host: &Host) {
    push(
        data,
        &format!(
            "# {} of {}: makes the server reachable; `bastide up` does the rest.",
            host.name, platform.name
        ),
    );
    push(data, &format!("# Operating system: {}", host.os));
    let (address, network) = (host.address, platform.private_network);
    push(data, &format!("# Attach it to the private network {network} with the address {address}."));
    match host.public_address {
        Some(public) => push(data, &format!("# It is the only server with a public address: {public}.")),
        None => push(data, "# Give it no public address: it is reached, and reaches out, through the edge."),
    }
}

fn login(data: &mut String, platform: &Platform, host: &Host) {
    let root = host.ssh.user == "root";
    push(data, &format!("disable_root: {}", !root));
    push(data, "users:");
    push(data, &format!("  - name: {}", host.ssh.user));
    if !root {
        push(data, "    shell: /bin/bash");
        push(data, "    sudo: 'ALL=(ALL) NOPASSWD:ALL'");
    }
    push(data, "    lock_passwd: true");
    push(data, "    ssh_authorized_keys:");
    for key in &platform.settings.operator.keys {
        push(data, &format!("      - {}", quoted(key)));
    }
}

/// Ubuntu's sshd listens through a socket unit, which reads the same drop-in when it is generated again.
fn port(data: &mut String, port: u16) {
    push(data, "write_files:");
    push(data, "  - path: /etc/ssh/sshd_config.d/10-bastide-port.conf");
    push(data, &format!("    content: 'Port {port}'"));
    push(data, "runcmd:");
    push(data, "  - systemctl daemon-reload");
    push(data, "  - systemctl try-restart ssh.socket ssh.service");
}

/// A single-quoted YAML string: the only escape is the doubled quote.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn push(data: &mut String, line: &str) {
    writeln!(data, "{line}").expect("writing to a string cannot fail");
}
