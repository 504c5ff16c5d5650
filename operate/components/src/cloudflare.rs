//! Cloudflare in front: the edge answers the CDN's ranges alone, and of those only who holds our certificate.
//!
//! Anybody may rent an address in the CDN's ranges by being its customer. So the ranges narrow the firewall, and the
//! client certificate of authenticated origin pulls proves that the connection is of our own zone. The ranges are the
//! published ones, <https://www.cloudflare.com/ips-v4>; they stand in the platform file and change about once in two years.

mod checks;

use crate::caddy;
use crate::{Component, ComponentError, Context, Step};
use bastide_converge::resource::{File, Resource};
use bastide_platform::{CdnProvider, Endpoint, Host, Platform, Role};
use bastide_verify::Check;

/// Certificate authority (PEM) of the certificate that the CDN presents to the edge.
pub const ORIGIN_PULL_AUTHORITY: &str = "/etc/bastide/origin-pull.pem";
/// The header in which the CDN says whose request it is.
pub const CLIENT_HEADER: &str = "Cf-Connecting-Ip";

const NAME: &str = "cloudflare";

/// The component.
pub struct Cloudflare;

/// Whether a CDN stands in front of the edge.
pub fn in_front(platform: &Platform) -> bool {
    platform.settings.cdn.provider == CdnProvider::Cloudflare
}

/// Who opens connections to the proxy on the edge.
pub fn visitors(platform: &Platform) -> Endpoint {
    if in_front(platform) { Endpoint::Cdn } else { Endpoint::Internet }
}

impl Component for Cloudflare {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&self) -> Step {
        Step::Application
    }

    fn placed_on(&self, host: &Host) -> bool {
        host.has(Role::Edge)
    }

    fn resources(&self, context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
        if !in_front(context.platform) {
            return Ok(vec![]);
        }
        let Some(path) = &context.platform.settings.cdn.origin_pull_authority else {
            let reason = "the edge would answer everybody in the CDN's ranges; set cdn.origin_pull_authority to the \
                          authority (PEM file) of the certificate that your zone presents to its origin";
            return Err(ComponentError::new(NAME, host, reason));
        };
        let content = caddy::read_pem(NAME, context.platform, host, path)?;
        Ok(vec![Resource::new(NAME, File::new(ORIGIN_PULL_AUTHORITY, content))])
    }

    fn checks(&self, context: &Context<'_>) -> Vec<Check> {
        checks::checks(context)
    }
}
