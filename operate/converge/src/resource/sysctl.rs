//! Kernel settings.

use crate::difference::Difference;
use crate::files::sha256;
use crate::host::Host;
use crate::resource::{File, Manage, Observed, ResourceError, ResourceId};
use rustix::fs::Access;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Kernel settings, in force now and after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// Short name; the file is `/etc/sysctl.d/60-<name>.conf`.
    pub name: String,
    /// Keys and values. Keys that this kernel lacks or keeps read-only (a container's does) are written to the file
    /// but not compared with the kernel.
    pub values: Vec<(String, String)>,
}

impl Manage for Sysctl {
    fn id(&self) -> ResourceId {
        ResourceId::new("sysctl", &self.name)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let file = self.file().observe(host)?.difference;
        let mut summary: Vec<String> = file.iter().map(|difference| difference.summary.clone()).collect();
        let mut lines = file.map(|difference| difference.lines).unwrap_or_default();
        let mut live = Vec::new();
        for (key, wanted) in &self.values {
            let path = host.path(&path_of(key));
            match read(&path) {
                Some(found) if same(&found, wanted) => {}
                Some(found) if writable(&path) => live.push(format!("{key}: {} → {wanted}", found.trim())),
                Some(found) if !summary.is_empty() => {
                    lines.push(format!(
                        "{key} stays {} for now: this kernel does not let it change",
                        found.trim()
                    ));
                }
                None if !summary.is_empty() => lines.push(format!("{key}: this kernel does not have it")),
                _ => {}
            }
        }
        if !live.is_empty() {
            summary.push("the kernel runs with other values".to_owned());
            lines.extend(live);
        }
        Ok(match Difference::of(summary) {
            Some(difference) => Observed::differs(Difference { lines, ..difference }),
            None => Observed::same(sha256(self.content().as_bytes())),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        if self.file().observe(host)?.difference.is_some() {
            self.file().change(host)?;
        }
        for (key, wanted) in &self.values {
            let path = host.path(&path_of(key));
            if read(&path).is_some_and(|found| !same(&found, wanted)) && writable(&path) {
                std::fs::write(&path, wanted)
                    .map_err(ResourceError::io(format!("set the kernel's {key} to `{wanted}`")))?;
            }
        }
        Ok(())
    }

    fn traces(&self) -> Vec<PathBuf> {
        vec![PathBuf::from(self.file().path)]
    }
}

impl Sysctl {
    fn file(&self) -> File {
        File::new(&format!("/etc/sysctl.d/60-{}.conf", self.name), self.content())
    }

    fn content(&self) -> String {
        self.values.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }
}

/// As sysctl.d(5) has it: dots separate, and a slash inside stands for a dot, unless a slash comes first.
fn path_of(key: &str) -> String {
    let slashes_separate = key.find(['.', '/']).is_some_and(|at| key[at..].starts_with('/'));
    let path: String = if slashes_separate {
        key.to_owned()
    } else {
        key.chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect()
    };
    format!("/proc/sys/{path}")
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The kernel separates several numbers by tabs.
fn same(found: &str, wanted: &str) -> bool {
    found.split_whitespace().eq(wanted.split_whitespace())
}

fn writable(path: &Path) -> bool {
    let by_mode = std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o200 != 0);
    by_mode && rustix::fs::access(path, Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::testing::Scratch;

    fn sysctl() -> Sysctl {
        let values =
            [("net.ipv4.ip_forward", "1"), ("net.ipv4.tcp_rmem", "4096 1 2"), ("kernel.absent", "1")];
        Sysctl { name: "edge".into(), values: values.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec() }
    }

    /// Tests own no root's files, so the file's owner is theirs.
    fn scratch() -> Scratch {
        let mut scratch = Scratch::new();
        let passwd = scratch.read("/etc/passwd").replace("me:", "root:");
        scratch.write("/etc/passwd", &passwd);
        let group = scratch.read("/etc/group").replace("us:", "root:");
        scratch.write("/etc/group", &group);
        scratch.host.facts.forget_all();
        scratch.write("/proc/sys/net/ipv4/ip_forward", "0\n");
        scratch.write("/proc/sys/net/ipv4/tcp_rmem", "4096\t1\t2\n");
        scratch
    }

    #[test]
    fn file_and_kernel_converge() {
        let mut scratch = scratch();
        let difference = sysctl().observe(&mut scratch.host).unwrap().difference.unwrap();
        assert!(difference.lines.contains(&"net.ipv4.ip_forward: 0 → 1".to_owned()));
        assert!(difference.lines.contains(&"kernel.absent: this kernel does not have it".to_owned()));
        scratch.converge(&sysctl());
        assert_eq!(scratch.read("/proc/sys/net/ipv4/ip_forward"), "1");
        assert!(scratch.read("/etc/sysctl.d/60-edge.conf").contains("kernel.absent = 1\n"));
    }

    #[test]
    fn a_value_changed_by_hand_is_drift() {
        let mut scratch = scratch();
        scratch.converge(&sysctl());
        scratch.write("/proc/sys/net/ipv4/ip_forward", "0\n");
        assert_eq!(scratch.converge(&sysctl()), "the kernel runs with other values");
    }

    #[test]
    fn a_read_only_key_is_not_compared() {
        let mut scratch = scratch();
        scratch.converge(&sysctl());
        let path = scratch.host.path("/proc/sys/net/ipv4/ip_forward");
        std::fs::write(&path, "0\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
        assert_eq!(sysctl().observe(&mut scratch.host).unwrap().difference, None);
    }

    #[test]
    fn keys_become_paths() {
        assert_eq!(path_of("net.ipv4.conf.eth0/100.rp_filter"), "/proc/sys/net/ipv4/conf/eth0.100/rp_filter");
        assert_eq!(path_of("net/ipv4/ip_forward"), "/proc/sys/net/ipv4/ip_forward");
    }
}
