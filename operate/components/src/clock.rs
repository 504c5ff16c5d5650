//! The clock: every host agrees on the time, which certificates, logs and tokens depend on.

use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Command, Resource};
use bastide_platform::Host;

const NAME: &str = "clock";

/// A container cannot set the clock, and its machine sets it already; there the service refuses to start.
const SETTLED: &str = "systemd-detect-virt --container --quiet || \
                       systemctl is-enabled --quiet systemd-timesyncd.service && \
                       systemctl is-active --quiet systemd-timesyncd.service";

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
}
