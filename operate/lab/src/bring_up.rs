//! Bringing a lab up: each step makes what is missing and leaves what is there, so that any run can end anywhere.

use std::collections::BTreeSet;

use crate::error::{LabError, Result};
use crate::host;
use crate::image::Image;
use crate::lab::{Lab, SPEC_FILE, or_none, read_spec};
use crate::lock::Lock;
use crate::machine::{Machine, Program};
use crate::network;
use crate::paths;
use crate::providers::{self, Credentials};
use crate::settings;
use crate::teardown;
use crate::uplink;
use crate::world;

/// How many watchers of files root may have. Each host's systemd has about twenty and all hosts' root is one to the
/// kernel, whose default of 128 is for one machine; a systemd that gets none does not start.
const INOTIFY_INSTANCES: &str = "fs/inotify/max_user_instances";
const INOTIFY_INSTANCES_OF_LABS: u64 = 4096;

impl Lab {
    pub(crate) fn images(&self) -> BTreeSet<Image> {
        self.machines().iter().map(|machine| machine.image).collect()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.stamp().exists()
            && network::is_complete(&self.spec)
            && self.machines().iter().all(|machine| machine.identity().leader().is_some())
    }

    pub(crate) fn remember(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.spec).expect("a description is plain data");
        paths::make_directory(&self.directory(), 0o755)?;
        paths::write_file(&self.directory().join(SPEC_FILE), text.as_bytes(), 0o644)
    }

    /// Fails if another lab's namespaces or network would be taken for this one's.
    pub(crate) fn require_names_free(&self) -> Result<()> {
        let own: BTreeSet<_> = network::namespaces(&self.spec).into_iter().collect();
        for other in Self::list()?.into_iter().filter(|name| *name != self.spec.name) {
            let Some(spec) = read_spec(&other)? else { continue };
            if let Some(shared) = network::namespaces(&spec).iter().find(|name| own.contains(*name)) {
                return Err(LabError::InvalidSpec {
                    reason: format!(
                        "lab {other} has a network namespace {shared} too: choose another lab name"
                    ),
                });
            }
            if crate::spec::overlap(spec.public_network, self.spec.public_network) {
                return Err(LabError::NetworkInUse {
                    lab: self.spec.name.clone(),
                    network: self.spec.public_network.to_string(),
                    by: format!("{} of lab {other}", spec.public_network),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn connect(&self, progress: &dyn Fn(&str)) -> Result<()> {
        progress("laying the lab's networks");
        let uplink = uplink::interface()?;
        let mtu = network::mtu(&uplink);
        let _lock = Lock::take(teardown::MACHINE_LOCK, progress)?;
        teardown::remember_namespace_directory()?;
        if let Err(error) = settings::raise(INOTIFY_INSTANCES, INOTIFY_INSTANCES_OF_LABS) {
            // Inside a container it cannot be set, and may be enough.
            progress(&format!("hosts may fail to start for want of file watchers: {error}"));
        }
        network::ensure_segments(&self.spec, mtu)?;
        uplink::open(&self.spec, &uplink)?;
        for place in network::places(&self.spec) {
            network::ensure_place(&self.spec, &place, mtu)?;
        }
        Ok(())
    }

    pub(crate) fn start_everything(&self, progress: &dyn Fn(&str)) -> Result<()> {
        self.keys().ensure(&self.spec)?;
        self.certificates().ensure(&self.spec)?;
        host::ensure_operator_directory(&self.operator_dir())?;
        if self.spec.issuer.is_some() {
            Credentials::at(&self.operator_dir()).ensure(&self.spec)?;
        }
        let machines = self.machines();
        let stopped: Vec<_> =
            machines.iter().filter(|machine| machine.identity().leader().is_none()).collect();
        progress(&format!(
            "starting {}",
            or_none(&stopped.iter().map(|machine| machine.name).collect::<Vec<_>>())
        ));
        for machine in &stopped {
            self.start_machine(machine)?;
        }
        if self.spec.cdn {
            world::reload_cdn(&self.spec, &self.certificates())?;
        }
        for machine in &machines {
            for unit in self.wait_for_boot(machine)? {
                progress(&format!("{} has booted, but its unit {unit} failed", machine.name));
            }
        }
        Ok(())
    }

    /// Starts a machine as after a power loss: with its disk, in a network that knows nothing of it.
    pub(crate) fn start_machine(&self, machine: &Machine<'_>) -> Result<()> {
        machine.identity().kill()?;
        network::remove_namespace(&network::namespace(&self.spec.name, machine.name))?;
        network::ensure_place(&self.spec, &self.place(machine.name)?, network::mtu(&uplink::interface()?))?;
        match (machine.name, self.host(machine.name)) {
            (_, Some(host)) => {
                machine.prepare(|| host::files(&self.spec, host, &self.keys(), &self.certificates()))?;
                machine.start(&Program::Boot)
            }
            ("cdn", None) => world::start_cdn(&self.spec, &self.certificates()),
            (providers::NAME, None) => providers::start(self),
            (_, None) => world::start_acme(&self.spec, &self.certificates()),
        }
    }

    pub(crate) fn wait_for_boot(&self, machine: &Machine<'_>) -> Result<Vec<String>> {
        machine.wait_for_leader()?;
        match self.host(machine.name) {
            Some(_) => machine.wait_for_boot(),
            None => Ok(Vec::new()),
        }
    }
}
