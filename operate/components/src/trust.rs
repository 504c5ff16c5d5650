//! Trust: the platform's authority, known to every host and to nobody else.

use crate::paths::AUTHORITY;
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{Directory, File, Resource};
use bastide_platform::Host;

const NAME: &str = "trust";

/// The component.
pub struct Trust;

impl Component for Trust {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Hosts
    }

    fn placed_on(&self, _host: &Host) -> bool {
        true
    }

    fn resources(&self, context: &Context<'_>, _host: &Host) -> Result<Vec<Resource>, ComponentError> {
        Ok(vec![
            Resource::new(NAME, Directory::new("/etc/bastide")),
            Resource::new(NAME, Directory::new(crate::paths::TLS_DIRECTORY)),
            Resource::new(NAME, File::new(AUTHORITY, context.authority.trust_bundle())),
        ])
    }
}
