//! Docker, as little of it as runs one container on the host's network.
//!
//! It keeps its hands off the firewall: no chain of its own, no bridge, no published port, so that ufw's rules hold
//! for the container as for any process.

use crate::source::{self, Software};
use crate::{Component, ComponentError, Context, Step, authentik};
use bastide_converge::resource::{Directory, File, Resource, Unit};
use bastide_platform::{Host, Role};

const NAME: &str = "docker";

/// The component.
pub struct Docker;

impl Component for Docker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Application
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::App) || host.has(Role::Identity)
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let authentik = authentik::host(context.platform).is_some_and(|issuer| issuer.name == host.name);
        if !host.has(Role::App) && !authentik {
            return Ok(vec![]);
        }
        let source = source::source(Software::Docker, host.os)
            .map_err(|error| ComponentError::new(NAME, host, &error))?;
        let directory = Directory::new("/etc/docker");
        let configuration = Resource::new(NAME, configuration());
        let unit = Unit::running("docker.service").restarted_by([&configuration]);
        let mut resources = vec![Resource::new(NAME, directory), configuration];
        resources.extend(source.resources(NAME));
        resources.push(Resource::new(NAME, unit));
        Ok(resources)
    }
}

fn configuration() -> File {
    // Images are known by the digest of their configuration, which is so in the classic store alone.
    let content = r#"{
  "bridge": "none",
  "iptables": false,
  "ip6tables": false,
  "ip-forward": false,
  "ip": "127.0.0.1",
  "userland-proxy": false,
  "live-restore": true,
  "no-new-privileges": true,
  "log-driver": "local",
  "log-opts": { "max-size": "10m", "max-file": "3" },
  "features": { "containerd-snapshotter": false }
}
"#;
    File::new("/etc/docker/daemon.json", content)
}
