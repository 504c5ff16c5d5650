//! What a lab adds to its platform: the operator's key, the certificate authorities, the CDN's ranges.

use anyhow::{Context, Result, bail};
use bastide_converge::ssh::Access;
use bastide_lab::{Lab, LabHost, LabOs, LabSpec, LoginCredential};
use bastide_platform::{CdnProvider, Credential, LoginProvider, OperatingSystem, Platform, Role, ServiceUrl};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// What the lab of `platform` is made of.
pub fn spec(platform: &Platform) -> Result<LabSpec> {
    let Some(settings) = &platform.settings.lab else {
        bail!("{} describes real servers: it has no [lab] section", platform.source.display());
    };
    let hosts = platform.hosts.iter().map(|host| {
        Ok(LabHost {
            name: host.name.to_string(),
            private_address: host.address,
            public_address: host.public_address,
            os: match host.os {
                OperatingSystem::Debian14 => LabOs::Debian14,
                OperatingSystem::Debian13 => LabOs::Debian13,
                other => bail!("a lab boots debian-14 or debian-13, and host {} wants {other}", host.name),
            },
            gateway: host.has(Role::Edge),
        })
    });
    Ok(LabSpec {
        name: platform.name.clone(),
        domain: platform.domain.clone(),
        public_network: settings.network,
        private_network: platform.private_network,
        hosts: hosts.collect::<Result<_>>()?,
        cdn: platform.settings.cdn.provider != CdnProvider::None,
        names: names_of(platform),
        // Before a provider is named, too: naming one needs no other lab.
        issuer: platform.hosts_with(Role::Identity).next().map(|_| platform.issuer_domain()),
    })
}

/// The platform's names. The issuer's is one also before a provider is named, which needs no other lab.
fn names_of(platform: &Platform) -> Vec<String> {
    platform.public_names().into_iter().chain([platform.issuer_domain()]).collect()
}

/// Boots the lab of `platform`, or leaves it as it is when it is up.
pub fn boot(platform: &Platform) -> Result<Lab> {
    Ok(Lab::up(&spec(platform)?, &|line| eprintln!("{:>10} {line}", "lab"))?)
}

/// The lab of `platform`, which must be up.
pub fn existing(platform: &Platform) -> Result<Lab> {
    Lab::open(&platform.name)
        .with_context(|| format!("the lab `{}` is not up; `bastide up` boots it", platform.name))
}

/// Fills in the settings that a lab makes itself.
pub fn complete(platform: &mut Platform, lab: &Lab) -> Result<()> {
    let key = lab.ssh_key().with_extension("pub");
    let key =
        std::fs::read_to_string(&key).with_context(|| format!("read the lab's key {}", key.display()))?;
    let settings = &mut platform.settings;
    settings.operator.keys = vec![key.trim().to_owned()];
    settings.operator.addresses = vec![Ipv4Net::from(lab.operator_address())];
    settings.acme.directory = lab.acme_directory();
    settings.acme.root = Some(lab.acme_root());
    if settings.cdn.provider != CdnProvider::None {
        settings.cdn.ranges = lab.cdn_ranges();
        settings.cdn.origin_pull_authority = Some(lab.origin_pull_authority());
    }
    let extra = platform.settings.app.extra_authority.as_deref().map(|path| platform.resolve(path));
    platform.settings.app.extra_authority = Some(authorities(lab, extra.as_deref())?);
    for login in &mut platform.settings.identity.providers {
        register(login, lab)?;
    }
    Ok(())
}

/// A file of the authorities that the servers of this world are trusted by: its own, and those of the platform file.
fn authorities(lab: &Lab, extra: Option<&Path>) -> Result<PathBuf> {
    let mut text = lab.public_authorities()?;
    if let Some(path) = extra {
        text += &std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    }
    let path = lab.operator_dir().join("authorities.pem");
    if std::fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return Ok(path);
    }
    // Whoever reads it meanwhile has the old one or the new one.
    let unfinished = path.with_extension(format!("pem.{}", std::process::id()));
    std::fs::write(&unfinished, text)
        .and_then(|()| std::fs::rename(&unfinished, &path))
        .with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// Fills in as what the issuer is registered with the lab's own login provider, unless the platform file says another.
fn register(login: &mut LoginProvider, lab: &Lab) -> Result<()> {
    if login.credential != Credential::Lab {
        return Ok(());
    }
    let name = login.provider.as_str();
    let known = lab.login_providers().into_iter().find(|known| known.name == name);
    let known = known.with_context(|| format!("the lab has no login provider {name}"))?;
    login.client_id = known.client_id;
    login.at = Some(ServiceUrl::of_site(&known.host));
    login.credential = match known.credential {
        LoginCredential::Secret(file) => Credential::Secret { file, expires: None },
        LoginCredential::Certificate { certificate, key } => Credential::Certificate { certificate, key },
        LoginCredential::SigningKey { file, key_id, team_id } => {
            Credential::SigningKey { file, key_id: key_id.to_owned(), team_id: team_id.to_owned() }
        }
    };
    Ok(())
}

/// The way to a lab's hosts; their keys are pinned from the start.
pub fn access(lab: &Lab) -> Access {
    Access {
        identity: Some(lab.ssh_key()),
        known_hosts: lab.known_hosts(),
        directory: connections(lab),
        pin_new_hosts: false,
    }
}

/// Where the connections to a lab's hosts have their sockets.
pub fn connections(lab: &Lab) -> PathBuf {
    lab.operator_dir().join("ssh")
}

/// Names that public DNS would know and a lab's hosts cannot ask for.
pub fn names(lab: &Lab) -> BTreeMap<String, Ipv4Addr> {
    lab.public_names().into_iter().map(|(address, name)| (name, address)).collect()
}
