//! A directory that stands in for a host's root, for tests of resources that are files.

use crate::files::{Ownership, sha256};
use crate::host::Host;
use crate::resource::{Manage, ResourceError};
use std::path::Path;

/// A host below a temporary directory; its user `me` and group `us` are those of whoever runs the test.
pub(crate) struct Scratch {
    root: tempfile::TempDir,
    /// The host.
    pub(crate) host: Host,
}

impl Scratch {
    /// An empty host.
    pub(crate) fn new() -> Self {
        Self::with_blobs(Vec::new())
    }

    /// An empty host whose operator has these blobs.
    pub(crate) fn with_blobs(blobs: Vec<Vec<u8>>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let fetch = move |wanted: &str| {
            let found = blobs.iter().find(|blob| sha256(blob) == wanted).cloned();
            found.ok_or_else(|| ResourceError::Other(format!("no blob {wanted}")))
        };
        let host = Host::at(root.path(), Box::new(fetch));
        let Ownership { uid, gid, .. } = Ownership::of(&std::fs::metadata(root.path()).unwrap());
        let scratch = Self { root, host };
        scratch.write("/etc/passwd", &format!("me:x:{uid}:{gid}::/home/me:/bin/sh\n"));
        scratch.write("/etc/group", &format!("us:x:{gid}:\n"));
        scratch.write("/etc/shadow", "me:*:1::::::\n");
        scratch
    }

    /// The host's root.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Writes a file of the host.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Reads a file of the host.
    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.path().join(path.trim_start_matches('/'))).unwrap()
    }

    /// Expects a difference, takes it away, and expects none; returns the difference's summary.
    pub(crate) fn converge(&mut self, resource: &dyn Manage) -> String {
        let before = resource.observe(&mut self.host).unwrap();
        resource.change(&mut self.host).unwrap();
        let after = resource.observe(&mut self.host).unwrap();
        assert_eq!(after.difference, None, "after the change");
        assert!(!after.fingerprint.is_empty());
        before.difference.expect("a difference before the change").summary
    }
}

/// Whether this is the inner of two runs of the ignored test `test`: the outer one runs it again in `namespaces` of
/// its own (options of `unshare`), where the inner one calls `prepare` first.
pub(crate) fn in_namespaces(test: &str, namespaces: &[&str], prepare: impl FnOnce()) -> bool {
    const INNER: &str = "BASTIDE_TEST_NAMESPACE";
    if std::env::var_os(INNER).is_some() {
        prepare();
        return true;
    }
    let status = std::process::Command::new("unshare")
        .args(namespaces)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env(INNER, "1")
        .status()
        .unwrap();
    assert!(status.success());
    false
}
