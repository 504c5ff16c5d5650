//! Paths on the hosts that several components share.

use bastide_converge::resource::ResourceId;

/// Certificates (PEM) of the platform's authority, which every private hop trusts and nothing else does.
pub const AUTHORITY: &str = "/etc/bastide/authority.pem";
/// Directory of the host's own certificates and keys.
pub const TLS_DIRECTORY: &str = "/etc/bastide/tls";

/// The file at `path` as other resources refer to it, whichever component of the host brings it.
pub fn file(path: &str) -> ResourceId {
    ResourceId::new("file", path)
}
