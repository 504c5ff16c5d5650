//! The lab as a whole: bringing it up, taking it down, and what can be done with one that is up.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};

use ipnet::Ipv4Net;

use crate::addresses::Addresses;
use crate::certificates::Certificates;
use crate::command;
use crate::error::{LabError, Result};
use crate::host;
use crate::image;
use crate::lock::Lock;
use crate::machine::Machine;
use crate::names;
use crate::network::{self, Place};
use crate::packages;
use crate::paths;
use crate::spec::{LabHost, LabSpec};
use crate::ssh::Keys;
use crate::teardown;
use crate::uplink;
use crate::world;

/// Free space that a lab's hosts need to grow into, in MiB.
const HOSTS_SPACE_MIB: u64 = 2048;

/// A lab that was brought up on this machine.
#[derive(Debug)]
pub struct Lab {
    pub(crate) spec: LabSpec,
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

    pub(crate) fn directory(&self) -> PathBuf {
        paths::lab(&self.spec.name)
    }

    pub(crate) fn keys(&self) -> Keys {
        Keys::at(&self.directory())
    }

    pub(crate) fn certificates(&self) -> Certificates {
        Certificates::at(&self.directory())
    }

    /// The file that says that `up` has finished since the machine booted.
    pub(crate) fn stamp(&self) -> PathBuf {
        paths::transient(&self.spec.name).join("up")
    }

    /// Hosts in the order of the description, then the world's servers.
    pub(crate) fn machines(&self) -> Vec<Machine<'_>> {
        let mut machines: Vec<_> =
            self.spec.hosts.iter().map(|host| host::machine(&self.spec, host)).collect();
        machines.push(world::acme(&self.spec));
        if self.spec.cdn {
            machines.push(world::cdn(&self.spec));
        }
        machines
    }

    /// Whether this lab is remembered; fails if it is with another description.
    pub(crate) fn is_known(&self) -> Result<bool> {
        match read_spec(&self.spec.name)? {
            Some(spec) if spec == self.spec => Ok(true),
            Some(spec) => Err(LabError::SpecChanged {
                name: self.spec.name.clone(),
                difference: spec.difference(&self.spec),
            }),
            None => Ok(false),
        }
    }

    pub(crate) fn host(&self, name: &str) -> Option<&LabHost> {
        self.spec.hosts.iter().find(|host| host.name == name)
    }

    fn command_on(&self, host: &str, argv: &[&str]) -> Result<Command> {
        self.machine(host)?
            .command(argv)
            .ok_or_else(|| LabError::NotRunning { lab: self.spec.name.clone(), host: host.to_owned() })
    }

    pub(crate) fn machine(&self, name: &str) -> Result<Machine<'_>> {
        let machines = self.machines();
        let known: Vec<String> = machines.iter().map(|machine| machine.name.to_owned()).collect();
        machines
            .into_iter()
            .find(|machine| machine.name == name)
            .ok_or_else(|| self.no_such_place("host", name, &known))
    }

    pub(crate) fn place(&self, name: &str) -> Result<Place> {
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

pub(crate) fn read_spec(name: &str) -> Result<Option<LabSpec>> {
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

pub(crate) fn or_none<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}
