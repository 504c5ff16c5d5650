//! The lab as a whole: bringing it up, taking it down, and where what it made is found.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;

use crate::addresses::Addresses;
use crate::certificates::Certificates;
use crate::error::{LabError, Result};
use crate::host;
use crate::image;
use crate::limits;
use crate::lock::Lock;
use crate::machine::Machine;
use crate::names;
use crate::network::{self, Place};
use crate::packages;
use crate::paths;
use crate::providers;
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
        if let Some(controllers) = limits::missing() {
            progress(&format!(
                "this machine keeps {controllers} with cgroup v1: the hosts run without limits of them"
            ));
        }
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
        if self.spec.issuer.is_some() {
            machines.push(providers::machine(&self.spec));
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

    pub(crate) fn no_such_place(&self, kind: &'static str, name: &str, known: &[String]) -> LabError {
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

pub(crate) fn lock_name(lab: &str) -> String {
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
