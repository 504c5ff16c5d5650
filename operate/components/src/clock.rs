//! The clock: every host agrees on the time, which certificates, logs and tokens depend on.

use crate::probing::{is_container, on_every_host, output, refuted};
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Command, Resource};
use bastide_platform::Host;
use bastide_verify::{Check, Evidence, Failure};
use std::time::{SystemTime, UNIX_EPOCH};

const NAME: &str = "clock";

/// A container cannot set the clock, and its machine sets it already; there the service refuses to start.
const SETTLED: &str = "systemd-detect-virt --container --quiet || \
                       { systemctl is-enabled --quiet systemd-timesyncd.service && \
                       systemctl is-active --quiet systemd-timesyncd.service; }";

/// The component.
pub struct Clock;

impl Component for Clock {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Hosts
    }

    fn placed_on(&self, _host: &Host) -> bool {
        true
    }

    fn resources(&self, _context: &Context<'_>, _host: &Host) -> Result<Vec<Resource>, ComponentError> {
        let synchronise = Command {
            name: "clock synchronised".to_owned(),
            unless: ["sh", "-c", SETTLED].map(str::to_owned).to_vec(),
            run: ["systemctl", "enable", "--now", "systemd-timesyncd.service"].map(str::to_owned).to_vec(),
        };
        Ok(vec![Resource::new(NAME, synchronise)])
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        on_every_host(context.platform, right)
    }
}

/// Most that a host's clock may differ from the operator's, in seconds.
const TOLERANCE: f64 = 2.0;

fn right(host: &Host) -> Check {
    let name = host.name.to_string();
    let claim = "its clock agrees with the operator's, and something keeps it so";
    Check::new("clock/right", NAME, Some(&host.name.to_string()), claim, move |field| {
        let name = name.clone();
        async move {
            let before = seconds();
            let said = output(&field, &name, &["date", "+%s.%N"]).await?;
            let after = seconds();
            let evidence = judge(&said, before, after)?;
            if is_container(&field, &name).await? {
                return Ok(format!("{evidence}; a container, its machine keeps the clock"));
            }
            let synchronised = ["timedatectl", "show", "--property=NTPSynchronized", "--value"];
            match output(&field, &name, &synchronised).await?.trim() {
                "yes" => Ok(format!("{evidence}; synchronised")),
                other => refuted(format!("{evidence}, but synchronised is `{other}`")),
            }
        }
    })
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The host's clock was read at some moment between `before` and `after`.
fn judge(said: &str, before: f64, after: f64) -> Result<Evidence, Failure> {
    let Ok(there) = said.trim().parse::<f64>() else {
        return refuted(format!("not proven: `date` printed `{}`", said.trim()));
    };
    let difference = (before - there).max(there - after).max(0.0);
    if difference <= TOLERANCE {
        return Ok(format!("differs by at most {:.3} s", difference.max(after - before)));
    }
    refuted(format!("it is {difference:.1} s off"))
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn a_wrong_clock_is_found() {
        assert!(judge("100.25\n", 100.0, 100.5).is_ok());
        assert!(judge("103.0\n", 100.0, 100.5).is_err());
        assert!(judge("97.0\n", 100.0, 100.5).is_err());
        assert!(judge("nonsense\n", 100.0, 100.5).is_err());
    }
}
