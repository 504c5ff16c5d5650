//! The lab as a whole: bringing it up, taking it down, and what can be done with one that is up.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};

use ipnet::Ipv4Net;
use serde::Serialize;

use crate::addresses::Addresses;
use crate::certificates::Certificates;
use crate::command;
use crate::error::{LabError, Result};
use crate::host;
use crate::image::{self, Image};
use crate::lock::Lock;
use crate::machine::{Machine, Program};
use crate::names;
use crate::network::{self, Place};
use crate::packages;
use crate::paths;
use crate::settings;
use crate::spec::{LabHost, LabSpec};
use crate::ssh::Keys;
use crate::teardown;
use crate::uplink;
use crate::world;

/// Free space that a lab's hosts need to grow into, in MiB.
const HOSTS_SPACE_MIB: u64 = 2048;

/// How many watchers of files root may have. Each host's systemd has about twenty and all hosts' root is one to the
/// kernel, whose default of 128 is for one machine; a systemd that gets none does not start.
const INOTIFY_INSTANCES: &str = "fs/inotify/max_user_instances";
const INOTIFY_INSTANCES_OF_LABS: u64 = 4096;

/// A lab that was brought up on this machine.
#[derive(Debug)]
pub struct Lab {
    spec: LabSpec,
}

/// A lab and its machines, as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabStatus {
    /// Name of the lab.
    pub name: String,
    /// Domain of its world.
    pub domain: String,
    /// Hosts in the order of the description, then the world's servers.
    pub machines: Vec<MachineStatus>,
}

/// One machine of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineStatus {
    /// Name of the host, or `cdn` or `acme`.
    pub name: String,
    /// Its addresses, public ones first.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether it runs.
    pub running: bool,
}

impl Lab {
    /// Brings up the lab that `spec` describes; one that is up stays as it is, and what is missing of it is started.
    /// Installs what the machine lacks, builds base images that the cache lacks. `progress` gets a line per step.
    ///
    /// # Errors
    /// Every variant of [`LabError`] but the ones about names of hosts. Whatever the error, another `up` continues and
    /// [`Lab::down`] cleans.
    pub fn up(spec: &LabSpec, progress: &dyn Fn(&str)) -> Result<Self> {
        crate::require_root()?;
        spec.validate()?;
        paths::make_directory(&paths::labs(), 0o755)?;
        let _lock = Lock::take(&lock_name(&spec.name), progress)?;
        let lab = Self { spec: spec.clone() };
        if lab.is_known()? && lab.is_up() {
            return Ok(lab);
        }
        packages::install_missing_packages(progress)?;
        lab.require_names_free()?;
        uplink::require_free(spec)?;
        paths::require_space(HOSTS_SPACE_MIB)?;
        lab.remember()?;
        image::ensure(&lab.images(), progress)?;
        lab.connect(progress)?;
        lab.start_everything(progress)?;
        let published = Lock::take(teardown::MACHINE_LOCK, progress)?;
        names::publish(spec)?;
        drop(published);
        paths::write_file(&lab.stamp(), b"", 0o644)?;
        progress(&format!("lab {} is up", spec.name));
        Ok(lab)
    }

    /// The lab called `name`, up or half up.
    ///
    /// # Errors
    /// [`LabError::NoSuchLab`] names the labs there are.
    pub fn open(name: &str) -> Result<Self> {
        match read_spec(name)? {
            Some(spec) => Ok(Self { spec }),
            None => Err(LabError::NoSuchLab { name: name.to_owned(), known: or_none(&Self::list()?) }),
        }
    }

    /// Names of the labs on this machine.
    ///
    /// # Errors
    /// [`LabError::File`] when a lab's description cannot be read.
    pub fn list() -> Result<Vec<String>> {
        let Ok(entries) = fs::read_dir(paths::labs()) else {
            return Ok(Vec::new());
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.path().join(SPEC_FILE).is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Removes the lab and everything it made on this machine but the cached base images. The hosts' disks, the keys
    /// and the operator's secrets of this lab go too.
    ///
    /// # Errors
    /// [`LabError::Command`], [`LabError::File`] or [`LabError::Deadline`]; another `down` continues.
    pub fn down(self, progress: &dyn Fn(&str)) -> Result<()> {
        crate::require_root()?;
        let lock = Lock::take(&lock_name(&self.spec.name), progress)?;
        teardown::remove(&self.spec, progress)?;
        lock.remove()?;
        teardown::remove_traces_of_last_lab(progress)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Names that public DNS would know, with their addresses: nothing outside the lab can be asked for them.
    #[must_use]
    pub fn public_names(&self) -> Vec<(Ipv4Addr, String)> {
        names::public(&self.spec)
    }

    /// What the lab was made from.
    #[must_use]
    pub fn spec(&self) -> &LabSpec {
        &self.spec
    }

    /// The lab's machines and whether they run.
    #[must_use]
    pub fn status(&self) -> LabStatus {
        let places = network::places(&self.spec);
        let machines = self
            .machines()
            .iter()
            .map(|machine| MachineStatus {
                name: machine.name.to_owned(),
                addresses: places
                    .iter()
                    .filter(|place| place.name == machine.name)
                    .flat_map(|place| &place.links)
                    .flat_map(|link| link.addresses.iter().map(Ipv4Net::addr))
                    .collect(),
                running: machine.identity().leader().is_some(),
            })
            .collect();
        LabStatus { name: self.spec.name.clone(), domain: self.spec.domain.clone(), machines }
    }

    /// Runs `argv` as root on `host` and waits for its end, whatever its exit status. Works without the lab's network.
    ///
    /// # Errors
    /// [`LabError::NoSuchPlace`], [`LabError::NotRunning`], or [`LabError::Command`] when it cannot be started.
    pub fn exec(&self, host: &str, argv: &[&str]) -> Result<Output> {
        let mut command = self.command_on(host, argv)?;
        command.stdin(Stdio::null());
        command::output(&format!("run a command on {host}"), &mut command)
    }

    /// As [`Lab::exec`], with this process's own standard input, output and error.
    ///
    /// # Errors
    /// As [`Lab::exec`].
    pub fn exec_attached(&self, host: &str, argv: &[&str]) -> Result<ExitStatus> {
        let mut command = self.command_on(host, argv)?;
        command
            .status()
            .map_err(|error| command::not_started(&format!("run a command on {host}"), &command, &error))
    }

    /// Opens root's shell on `host` on this process's terminal and waits for its end.
    ///
    /// # Errors
    /// As [`Lab::exec`].
    pub fn shell(&self, host: &str) -> Result<ExitStatus> {
        self.exec_attached(host, &["/bin/bash", "--login"])
    }

    /// Runs `argv`, a program of this machine, in the network of `place` (`client`, `client2`, `cdn` or `acme`) and
    /// waits for its end, whatever its exit status.
    ///
    /// # Errors
    /// [`LabError::NoSuchPlace`], or [`LabError::Command`] when it cannot be started.
    pub fn world_exec(&self, place: &str, argv: &[&str]) -> Result<Output> {
        let mut command = self.world_command(place, argv)?;
        command.stdin(Stdio::null());
        command::output(&format!("run a command at {place}"), &mut command)
    }

    /// The command that [`Lab::world_exec`] runs, for a caller that starts it in a way of its own.
    ///
    /// # Errors
    /// [`LabError::NoSuchPlace`].
    pub fn world_command(&self, place: &str, argv: &[&str]) -> Result<Command> {
        let is_host = self.spec.hosts.iter().any(|host| host.name == place);
        let known: Vec<String> = network::places(&self.spec)
            .into_iter()
            .map(|place| place.name)
            .filter(|name| self.spec.hosts.iter().all(|host| host.name != *name))
            .collect();
        if is_host || !known.iter().any(|name| name == place) {
            return Err(self.no_such_place("place", place, &known));
        }
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &network::namespace(&self.spec.name, place)]).args(argv);
        Ok(command)
    }

    /// Lets packets between `one` and `other` (hosts or places) vanish until [`Lab::heal`].
    ///
    /// # Errors
    /// [`LabError::NoSuchPlace`], or [`LabError::Command`] when the rules cannot be set.
    pub fn partition(&self, one: &str, other: &str) -> Result<()> {
        let (one, other) = (self.place(one)?, self.place(other)?);
        network::partition(&self.spec, &one, &other)
    }

    /// Ends every partition.
    ///
    /// # Errors
    /// [`LabError::Command`] when the rules cannot be removed.
    pub fn heal(&self) -> Result<()> {
        network::heal(&self.spec)
    }

    /// Ends every process of a host (or of `cdn` or `acme`) at once, as a power loss does. Its disk stays.
    ///
    /// # Errors
    /// [`LabError::NoSuchPlace`], or [`LabError::Deadline`] when a process does not end.
    pub fn kill(&self, host: &str) -> Result<()> {
        self.machine(host)?.identity().kill()
    }

    /// Starts a host (or `cdn` or `acme`) that does not run, and waits until it has booted.
    ///
    /// # Errors
    /// [`LabError::NoSuchPlace`], or [`LabError::Deadline`] with the host's own log when it does not boot.
    pub fn start(&self, host: &str) -> Result<()> {
        let _lock = Lock::take(&lock_name(&self.spec.name), &|_| {})?;
        let machine = self.machine(host)?;
        if machine.identity().leader().is_some() {
            return Ok(());
        }
        self.start_machine(&machine)?;
        if host == "acme" && self.spec.cdn {
            world::reload_cdn(&self.spec, &self.certificates())?;
        }
        self.wait_for_boot(&machine).map(drop)
    }

    /// The operator's private SSH key: it opens root on every host.
    #[must_use]
    pub fn ssh_key(&self) -> PathBuf {
        self.keys().operator()
    }

    /// The hosts' SSH keys, by address, as ssh's `known_hosts`.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.keys().known_hosts()
    }

    /// A directory for the operator's secrets of this lab, which only root may enter.
    #[must_use]
    pub fn operator_dir(&self) -> PathBuf {
        self.directory().join("operator")
    }

    /// The authority (PEM file) of the CDN's public certificates: what a browser must trust.
    #[must_use]
    pub fn cdn_authority(&self) -> PathBuf {
        self.certificates().path("cdn-authority.pem")
    }

    /// URL of the ACME directory.
    #[must_use]
    pub fn acme_directory(&self) -> String {
        world::acme_directory(&self.spec)
    }

    /// The authority (PEM file) of the ACME API's own certificate. The hosts trust it already, as real hosts trust the
    /// one of a real ACME service.
    #[must_use]
    pub fn acme_root(&self) -> PathBuf {
        self.certificates().path("acme-authority.pem")
    }

    /// The root (PEM text) that the ACME authority signs the platform's certificates with: what a client that goes to
    /// the edge without a CDN must trust. Another one after each start of the authority.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when the ACME authority does not answer.
    pub fn issued_root(&self) -> Result<String> {
        world::acme_root(&self.spec)
    }

    /// The authority (PEM file) of the client certificate that the CDN shows to the origin.
    #[must_use]
    pub fn origin_pull_authority(&self) -> PathBuf {
        self.certificates().path("origin-pull-authority.pem")
    }

    /// Where the CDN's requests to the origin may come from.
    #[must_use]
    pub fn cdn_ranges(&self) -> Vec<Ipv4Net> {
        cdn_ranges(&self.spec)
    }

    /// This machine's address on the lab's internet: where the operator's connections come from.
    #[must_use]
    pub fn operator_address(&self) -> Ipv4Addr {
        Addresses::of(self.spec.public_network).operator
    }

    fn directory(&self) -> PathBuf {
        paths::lab(&self.spec.name)
    }

    fn keys(&self) -> Keys {
        Keys::at(&self.directory())
    }

    fn certificates(&self) -> Certificates {
        Certificates::at(&self.directory())
    }

    /// The file that says that `up` has finished since the machine booted.
    fn stamp(&self) -> PathBuf {
        paths::transient(&self.spec.name).join("up")
    }

    fn images(&self) -> BTreeSet<Image> {
        self.machines().iter().map(|machine| machine.image).collect()
    }

    /// Hosts in the order of the description, then the world's servers.
    fn machines(&self) -> Vec<Machine<'_>> {
        let mut machines: Vec<_> =
            self.spec.hosts.iter().map(|host| host::machine(&self.spec, host)).collect();
        machines.push(world::acme(&self.spec));
        if self.spec.cdn {
            machines.push(world::cdn(&self.spec));
        }
        machines
    }

    /// Whether this lab is remembered; fails if it is with another description.
    fn is_known(&self) -> Result<bool> {
        match read_spec(&self.spec.name)? {
            Some(spec) if spec == self.spec => Ok(true),
            Some(spec) => Err(LabError::SpecChanged {
                name: self.spec.name.clone(),
                difference: spec.difference(&self.spec),
            }),
            None => Ok(false),
        }
    }

    fn is_up(&self) -> bool {
        self.stamp().exists()
            && network::is_complete(&self.spec)
            && self.machines().iter().all(|machine| machine.identity().leader().is_some())
    }

    fn remember(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.spec).expect("a description is plain data");
        paths::make_directory(&self.directory(), 0o755)?;
        paths::write_file(&self.directory().join(SPEC_FILE), text.as_bytes(), 0o644)
    }

    /// Fails if another lab's namespaces or network would be taken for this one's.
    fn require_names_free(&self) -> Result<()> {
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

    fn connect(&self, progress: &dyn Fn(&str)) -> Result<()> {
        progress("laying the lab's networks");
        let uplink = uplink::interface()?;
        let mtu = network::mtu(&uplink);
        let _lock = Lock::take(teardown::MACHINE_LOCK, progress)?;
        teardown::remember_namespace_directory()?;
        settings::raise(INOTIFY_INSTANCES, INOTIFY_INSTANCES_OF_LABS)?;
        network::ensure_segments(&self.spec, mtu)?;
        uplink::open(&self.spec, &uplink)?;
        for place in network::places(&self.spec) {
            network::ensure_place(&self.spec, &place, mtu)?;
        }
        Ok(())
    }

    fn start_everything(&self, progress: &dyn Fn(&str)) -> Result<()> {
        self.keys().ensure(&self.spec)?;
        self.certificates().ensure(&self.spec)?;
        host::ensure_operator_directory(&self.operator_dir())?;
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
    fn start_machine(&self, machine: &Machine<'_>) -> Result<()> {
        machine.identity().kill()?;
        network::remove_namespace(&network::namespace(&self.spec.name, machine.name))?;
        network::ensure_place(&self.spec, &self.place(machine.name)?, network::mtu(&uplink::interface()?))?;
        match (machine.name, self.host(machine.name)) {
            (_, Some(host)) => {
                machine.prepare(|| host::files(&self.spec, host, &self.keys(), &self.certificates()))?;
                machine.start(&Program::Boot)
            }
            ("cdn", None) => world::start_cdn(&self.spec, &self.certificates()),
            (_, None) => world::start_acme(&self.spec, &self.certificates()),
        }
    }

    fn wait_for_boot(&self, machine: &Machine<'_>) -> Result<Vec<String>> {
        machine.wait_for_leader()?;
        match self.host(machine.name) {
            Some(_) => machine.wait_for_boot(),
            None => Ok(Vec::new()),
        }
    }

    fn host(&self, name: &str) -> Option<&LabHost> {
        self.spec.hosts.iter().find(|host| host.name == name)
    }

    fn command_on(&self, host: &str, argv: &[&str]) -> Result<Command> {
        self.machine(host)?
            .command(argv)
            .ok_or_else(|| LabError::NotRunning { lab: self.spec.name.clone(), host: host.to_owned() })
    }

    fn machine(&self, name: &str) -> Result<Machine<'_>> {
        let machines = self.machines();
        let known: Vec<String> = machines.iter().map(|machine| machine.name.to_owned()).collect();
        machines
            .into_iter()
            .find(|machine| machine.name == name)
            .ok_or_else(|| self.no_such_place("host", name, &known))
    }

    fn place(&self, name: &str) -> Result<Place> {
        let places = network::places(&self.spec);
        let known: Vec<String> = places.iter().map(|place| place.name.clone()).collect();
        places
            .into_iter()
            .find(|place| place.name == name)
            .ok_or_else(|| self.no_such_place("host or place", name, &known))
    }

    fn no_such_place(&self, kind: &'static str, name: &str, known: &[String]) -> LabError {
        LabError::NoSuchPlace {
            lab: self.spec.name.clone(),
            kind,
            name: name.to_owned(),
            known: known.join(", "),
        }
    }
}

/// The addresses that the CDN's requests to the origin may come from in a lab of this description.
#[must_use]
pub fn cdn_ranges(spec: &LabSpec) -> Vec<Ipv4Net> {
    if spec.cdn { vec![Addresses::of(spec.public_network).cdn_range] } else { Vec::new() }
}

/// The file of a lab's directory that makes it a lab: written first, removed last.
pub(crate) const SPEC_FILE: &str = "lab.json";

fn lock_name(lab: &str) -> String {
    format!("lab-{lab}")
}

fn read_spec(name: &str) -> Result<Option<LabSpec>> {
    let file = paths::lab(name).join(SPEC_FILE);
    if !file.is_file() {
        return Ok(None);
    }
    let text = paths::read_file(&file)?;
    serde_json::from_str(&text).map(Some).map_err(|error| LabError::File {
        attempted: "understand",
        path: file,
        source: error.into(),
    })
}

fn or_none<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}
