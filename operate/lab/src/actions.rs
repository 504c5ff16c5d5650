//! What can be done with a lab that is up: commands on its hosts and places, lost packets, lost power.

use std::process::{Command, ExitStatus, Output, Stdio};

use crate::command;
use crate::error::{LabError, Result};
use crate::lab::{Lab, lock_name};
use crate::lock::Lock;
use crate::network;
use crate::world;

impl Lab {
    /// Runs `argv` as root on `host` and waits for its end, whatever its exit status. Works without the lab's network.
    ///
    /// # Errors
    /// [`LabError::NoSuchPlace`], [`LabError::NotRunning`], or [`LabError::Command`] when it cannot be started.
    pub fn exec(&self, host: &str, argv: &[&str]) -> Result<Output> {
        let mut command = self.command_on(host, argv)?;
        command.stdin(Stdio::null());
        command::output_on_host(&format!("run a command on {host}"), &mut command)
    }

    /// As [`Lab::exec`], with this process's own standard input, output and error.
    ///
    /// # Errors
    /// As [`Lab::exec`].
    pub fn exec_attached(&self, host: &str, argv: &[&str]) -> Result<ExitStatus> {
        let mut command = self.command_on(host, argv)?;
        command::status_on_host(&format!("run a command on {host}"), &mut command)
    }

    /// Opens root's shell on `host` on this process's terminal and waits for its end.
    ///
    /// # Errors
    /// As [`Lab::exec`].
    pub fn shell(&self, host: &str) -> Result<ExitStatus> {
        self.exec_attached(host, &["/bin/bash", "--login"])
    }

    /// Runs `argv`, a program of this machine, in the network of `place` (`client`, `client2`, `cdn`, `acme` or `providers`) and
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

    /// Ends every process of a host (or of `cdn`, `acme` or `providers`) at once, as a power loss does, and its network with them:
    /// the kernel of a server without power forwards nothing. Its disk stays.
    ///
    /// # Errors
    /// [`LabError::NoSuchPlace`], [`LabError::Deadline`] when a process does not end, or [`LabError::Command`] when its
    /// network cannot be removed.
    pub fn kill(&self, host: &str) -> Result<()> {
        self.machine(host)?.identity().kill()?;
        network::remove_namespace(&network::namespace(&self.spec.name, host))
    }

    /// Starts a host (or `cdn`, `acme` or `providers`) that does not run, and waits until it has booted.
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

    fn command_on(&self, host: &str, argv: &[&str]) -> Result<Command> {
        self.machine(host)?
            .command(argv)
            .ok_or_else(|| LabError::NotRunning { lab: self.spec.name.clone(), host: host.to_owned() })
    }
}
