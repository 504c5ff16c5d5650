//! A host of the lab: a fresh server that the operator's key opens, as a provider would hand it over.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use crate::certificates::Certificates;
use crate::error::{LabError, Result, file_error};
use crate::image::Image;
use crate::machine::{Machine, OwnFile};
use crate::names;
use crate::paths;
use crate::spec::{LabHost, LabSpec};
use crate::ssh::Keys;

/// Where resolvers are listed, the real ones before the stub that systemd-resolved listens with.
const RESOLVERS: [&str; 2] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
/// The authorities that every public client trusts in real life: those of the CDN and of the ACME service's own API.
const TRUSTED: [(&str, &str); 2] = [
    ("cdn-authority.pem", "/usr/local/share/ca-certificates/lab-cdn.crt"),
    ("acme-authority.pem", "/usr/local/share/ca-certificates/lab-acme.crt"),
];
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The machine that is `host` of the lab.
pub(crate) fn machine<'a>(spec: &'a LabSpec, host: &'a LabHost) -> Machine<'a> {
    Machine { lab: &spec.name, name: &host.name, image: Image::Host(host.os) }
}

/// What distinguishes a host from its image before it first boots.
pub(crate) fn files(
    spec: &LabSpec,
    host: &LabHost,
    keys: &Keys,
    certificates: &Certificates,
) -> Result<Vec<OwnFile>> {
    let mut files = vec![
        OwnFile::public("/etc/hostname", format!("{}\n", host.name)),
        OwnFile::public("/etc/hosts", names::file_of_host(spec, host)),
        OwnFile::public("/etc/resolv.conf", resolver(spec)?),
        OwnFile::secret("/etc/ssh/ssh_host_ed25519_key", keys.host(host)?),
        OwnFile::public("/etc/ssh/ssh_host_ed25519_key.pub", keys.host_public(host)?),
        OwnFile::secret("/root/.ssh/authorized_keys", keys.operator_public()?),
    ];
    let bundle = Image::Host(host.os).path().join(BUNDLE.trim_start_matches('/'));
    let mut trusted = fs::read(&bundle).map_err(file_error("read", &bundle))?;
    for (name, place) in TRUSTED {
        let authority = certificates.read(name)?;
        trusted.extend(authority.as_bytes());
        files.push(OwnFile::public(place, authority));
    }
    files.push(OwnFile::public(BUNDLE, trusted));
    Ok(files)
}

/// The machine's resolver, for a place that shares nothing with the machine but its way to the internet.
pub(crate) fn resolver(spec: &LabSpec) -> Result<String> {
    let texts: Vec<_> =
        RESOLVERS.iter().filter_map(|file| fs::read_to_string(Path::new(file)).ok()).collect();
    let usable = texts.iter().flat_map(|text| nameservers(text)).collect::<Vec<_>>();
    if let Some(inside) = usable.iter().find(|address| is_inside(spec, address)) {
        return Err(LabError::InvalidSpec {
            reason: format!(
                "this machine's name server {inside} lies in one of the lab's networks: choose others"
            ),
        });
    }
    let Some(first) = usable.first() else {
        return Err(LabError::Unsupported {
            reason: format!(
                "{} lists no name server that another machine could ask (only loopback, or none), and the hosts need one to install packages. Add a `nameserver` line",
                RESOLVERS[1]
            ),
        });
    };
    Ok(format!("nameserver {first}\n"))
}

fn is_inside(spec: &LabSpec, address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            spec.private_network.contains(address) || spec.public_network.contains(address)
        }
        IpAddr::V6(_) => false,
    }
}

/// Name servers in `text` that can be reached from the lab: IPv4 and not on loopback.
fn nameservers(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|address| address.trim().parse::<IpAddr>().ok())
        .filter(|address| address.is_ipv4() && !address.is_loopback())
        .collect()
}

/// Makes the directory for the operator's secrets of a lab.
pub(crate) fn ensure_operator_directory(directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    paths::make_directory(directory, 0o700)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_resolver_is_passed_over() {
        let text =
            "# comment\nnameserver 127.0.0.53\nnameserver fd00::1\nnameserver 9.9.9.9\noptions edns0\n";
        assert_eq!(nameservers(text), ["9.9.9.9".parse::<IpAddr>().unwrap()]);
        assert!(nameservers("nameserver 127.0.0.1\n").is_empty());
    }

    #[test]
    fn a_name_server_inside_the_lab_is_noticed() {
        let spec: LabSpec = serde_json::from_str(include_str!("../tests/support/lab.json")).unwrap();
        assert!(is_inside(&spec, &"10.0.0.53".parse().unwrap()));
        assert!(!is_inside(&spec, &"10.99.99.53".parse().unwrap()));
    }
}
