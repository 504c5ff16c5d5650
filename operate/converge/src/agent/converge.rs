//! One request to converge: observe in order, change what differs, observe again.

use super::guard::{self, Armed, Fate};
use super::{AgentError, Incoming, Line};
use crate::host::Host;
use crate::protocol::{CONFIRM_WITHIN, Event, Mode, Request};
use crate::resource::{Resource, ResourceError};
use sha2::{Digest, Sha256};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Observes `resources` in order and, when applying, changes those that differ; a failure ends the run.
pub(super) fn run(line: &Rc<Line>, mode: Mode, resources: &[Resource]) -> Result<(), AgentError> {
    let started = Instant::now();
    let fetch_line = Rc::clone(line);
    let mut host = Host::new(Box::new(move |sha256| fetch_blob(&fetch_line, sha256)));
    host.prepare(resources);
    let mut converging = Converging { line, mode, resources, armed: None };
    converging.all(&mut host)?;
    line.say(&Event::Finished { milliseconds: milliseconds(started.elapsed()) })
}

struct Converging<'a> {
    line: &'a Line,
    mode: Mode,
    resources: &'a [Resource],
    armed: Option<Armed>,
}

impl Converging<'_> {
    fn all(&mut self, host: &mut Host) -> Result<(), AgentError> {
        for (index, resource) in self.resources.iter().enumerate() {
            if self.line.abandoned() {
                return Err(AgentError::Abandoned);
            }
            let outcome = self.one(host, index, resource)?;
            let last_guarded = !self.resources[index + 1..].iter().any(|later| later.guarded);
            let settled = if last_guarded || outcome.is_err() { self.settle()? } else { Ok(()) };
            if let Err(error) = outcome.and(settled) {
                self.line.say(&Event::Failed { index, resource: resource.id(), error: error.to_string() })?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Deals with one resource. The outer error is the connection's, the inner one the resource's.
    fn one(
        &mut self,
        host: &mut Host,
        index: usize,
        resource: &Resource,
    ) -> Result<Result<(), ResourceError>, AgentError> {
        let managed = resource.spec.manage();
        let observed = match managed.observe(host) {
            Ok(observed) => observed,
            Err(error) => return Ok(Err(error)),
        };
        let differs = observed.difference.is_some();
        if !differs {
            host.fingerprints.insert(resource.id(), observed.fingerprint);
        }
        self.line.say(&Event::Observed { index, difference: observed.difference })?;
        if !differs {
            return Ok(Ok(()));
        }
        if self.mode == Mode::Plan {
            host.planned(resource.id());
            return Ok(Ok(()));
        }
        self.line.say(&Event::Changing { index })?;
        let started = Instant::now();
        if let Err(error) = self.change(host, resource) {
            return Ok(Err(error));
        }
        self.line.say(&Event::Changed { index, milliseconds: milliseconds(started.elapsed()) })?;
        Ok(Ok(()))
    }

    fn change(&mut self, host: &mut Host, resource: &Resource) -> Result<(), ResourceError> {
        if resource.guarded && self.armed.is_none() {
            let guarded: Vec<&Resource> = self.resources.iter().filter(|r| r.guarded).collect();
            let armed =
                guard::arm(&guarded).map_err(ResourceError::io("arm the timer that reverts a lock-out"))?;
            self.armed = Some(armed);
        }
        let managed = resource.spec.manage();
        managed.change(host)?;
        host.note_change(resource);
        let after = managed.observe(host)?;
        if let Some(difference) = after.difference {
            let rest = [vec![difference.summary], difference.lines].concat().join("\n");
            return Err(ResourceError::Other(format!("was changed and still differs: {rest}")));
        }
        host.fingerprints.insert(resource.id(), after.fingerprint);
        Ok(())
    }

    /// Waits until a guarded change is confirmed through a fresh connection, or reverted for want of one.
    fn settle(&mut self) -> Result<Result<(), ResourceError>, AgentError> {
        let Some(armed) = self.armed.take() else { return Ok(Ok(())) };
        self.line.say(&Event::ConfirmNeeded { token: armed.token.clone() })?;
        loop {
            match armed.fate() {
                Fate::Confirmed => return Ok(Ok(())),
                Fate::Reverted => {
                    let seconds = CONFIRM_WITHIN.as_secs();
                    return Ok(Err(ResourceError::Other(format!(
                        "no fresh connection confirmed the change of sshd or the firewall within {seconds} s, so it \
                         was reverted: the new rules would have locked you out; compare them with `bastide plan`"
                    ))));
                }
                Fate::Undecided => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

fn fetch_blob(line: &Line, sha256: &str) -> Result<Vec<u8>, ResourceError> {
    let failed = |error: AgentError| ResourceError::Other(format!("fetch blob {sha256}: {error}"));
    line.say(&Event::NeedBlob { sha256: sha256.to_owned() }).map_err(failed)?;
    match (line.next().map_err(failed)?, line.next().map_err(failed)?) {
        (Incoming::Request(Request::Blob), Incoming::Blob(bytes)) => {
            let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            if found == sha256 {
                return Ok(bytes);
            }
            Err(ResourceError::Other(format!("fetch blob {sha256}: its bytes arrived as {found}")))
        }
        _ => Err(ResourceError::Other(format!(
            "fetch blob {sha256}: the operator's machine sent something else"
        ))),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
