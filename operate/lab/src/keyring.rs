//! The keys that sign Debian's archive, new enough for the suites a lab boots.
//!
//! A machine with an older Debian or Ubuntu may have a keyring from before a suite's keys were made. Every Debian
//! release is signed with the keys of the one before it as well, so a newer keyring is fetched from a release that the
//! machine's own keyring verifies. No signature check is ever turned off.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command;
use crate::error::{LabError, Result, file_error};
use crate::image::MIRROR;
use crate::paths;

/// Where `debian-archive-keyring` puts the keyring, by its version.
const PLACES: [&str; 2] =
    ["usr/share/keyrings/debian-archive-keyring.pgp", "usr/share/keyrings/debian-archive-keyring.gpg"];
/// The release that a newer keyring is taken from.
const STEP: &str = "trixie";

/// The keyring that the machine has installed.
pub(crate) fn installed() -> Result<PathBuf> {
    find_in(Path::new("/")).ok_or_else(|| LabError::Unsupported {
        reason: "package debian-archive-keyring is not installed: `apt-get install debian-archive-keyring`"
            .to_owned(),
    })
}

/// A newer keyring from Debian's archive, verified by the `installed` one, unpacked below `directory`.
pub(crate) fn fetch_newer(installed: &Path, directory: &Path) -> Result<PathBuf> {
    let attempted = "fetch a newer keyring of Debian's archive";
    for part in ["lists/partial", "archives/partial", "unpacked"] {
        let path = directory.join(part);
        fs::create_dir_all(&path).map_err(file_error("make directory", &path))?;
    }
    let sources = directory.join("sources.list");
    let line = format!("deb [signed-by={}] {MIRROR} {STEP} main\n", installed.display());
    paths::write_file(&sources, line.as_bytes(), 0o644)?;
    let configuration = directory.join("apt.conf");
    paths::write_file(&configuration, apt_configuration(directory, &sources).as_bytes(), 0o644)?;
    let script = r#"export APT_CONFIG="$1/apt.conf"
apt-get --quiet update
cd "$1"
apt-get --quiet download debian-archive-keyring
dpkg-deb --extract debian-archive-keyring_*.deb unpacked"#;
    let arguments: [&OsStr; 5] =
        ["-e".as_ref(), "-c".as_ref(), script.as_ref(), "sh".as_ref(), directory.as_ref()];
    command::run(attempted, "sh", &arguments)?;
    find_in(&directory.join("unpacked")).ok_or_else(|| LabError::Unsupported {
        reason: format!("package debian-archive-keyring of {STEP} has no keyring in a known place"),
    })
}

/// An apt of its own, which shares nothing with the machine's.
fn apt_configuration(directory: &Path, sources: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"Dir::Etc::sourcelist "{}";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "{directory}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{directory}";
Dir::Cache::archives "{directory}/archives";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
APT::Sandbox::User "root";
APT::Update::Post-Invoke {{}};
APT::Update::Post-Invoke-Success {{}};
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"#,
        sources.display()
    )
}

fn find_in(root: &Path) -> Option<PathBuf> {
    PLACES.iter().map(|place| root.join(place)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs root and the network"]
    fn needs_root_a_keyring_that_knows_one_release_vouches_for_a_newer_keyring() {
        let old = Path::new("/usr/share/keyrings/debian-archive-trixie-stable.gpg");
        let directory = tempfile::tempdir().unwrap();
        let newer = fetch_newer(old, directory.path()).unwrap();
        assert!(fs::metadata(newer).unwrap().len() > fs::metadata(old).unwrap().len());
    }

    #[test]
    #[ignore = "needs root and the network"]
    fn needs_root_a_keyring_that_knows_no_release_vouches_for_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.gpg");
        fs::write(&empty, b"").unwrap();
        let refused = fetch_newer(&empty, directory.path()).unwrap_err().to_string();
        assert!(refused.contains("fetch a newer keyring"), "{refused}");
    }
}
