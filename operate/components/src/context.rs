//! What components know besides the platform file.

use crate::authority::Authority;
use crate::secrets::Secrets;
use bastide_platform::Platform;
use std::collections::BTreeMap;

/// Everything from which components make resources and checks.
pub struct Context<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// The operator's secrets.
    pub secrets: &'a Secrets,
    /// The platform's own certificate authority.
    pub authority: &'a Authority,
    /// The application's image.
    pub app_image: &'a AppImage,
    /// The issuer's program, or the one that sets Authentik up; none where the platform has no issuer.
    pub issuer: Option<&'a Program>,
    /// Now, in seconds since 1970; validity of certificates is reckoned from it.
    pub now: i64,
    /// Public names whose address DNS cannot tell the hosts (a lab's ACME authority); written to /etc/hosts.
    pub names: &'a BTreeMap<String, std::net::Ipv4Addr>,
}

/// The application's image, as the hosts' container engines will know it.
#[derive(Debug, Clone)]
pub struct AppImage {
    /// Reference, for example `bastide/app:3f1c…`.
    pub reference: String,
    /// Id in the engine.
    pub id: String,
    /// SHA-256 of the archive, hexadecimal.
    pub archive: String,
}

impl AppImage {
    /// The name of what is deployed: the reference's tag.
    pub fn release(&self) -> &str {
        self.reference.rsplit_once(':').map_or(&*self.reference, |(_, tag)| tag)
    }
}

/// A static binary that a host runs, as `bastide` has it at hand.
#[derive(Debug, Clone)]
pub struct Program {
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
}

impl Program {
    /// The name of what is deployed.
    pub fn release(&self) -> &str {
        self.sha256.get(..12).unwrap_or(&self.sha256)
    }
}
