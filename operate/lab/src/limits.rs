//! Whether limits of memory and processor time bind on the lab's hosts.

use std::fs;

/// The controllers without which a unit's limits are words.
const WANTED: [&str; 2] = ["cpu", "memory"];

/// The controllers that limits need and that this machine keeps with cgroup v1, where no host of a lab has them.
pub(crate) fn missing() -> Option<String> {
    let missing = elsewhere(&fs::read_to_string("/proc/cgroups").unwrap_or_default());
    (!missing.is_empty()).then(|| missing.join(" and "))
}

/// `groups` is what the kernel says in `/proc/cgroups`: hierarchy 0 stands for cgroup v2. A kernel without cgroup v1
/// names no controller.
fn elsewhere(groups: &str) -> Vec<&'static str> {
    let is_elsewhere = |name: &&str| {
        groups.lines().any(|line| {
            let mut fields = line.split_whitespace();
            fields.next() == Some(name) && fields.next().is_some_and(|hierarchy| hierarchy != "0")
        })
    };
    WANTED.into_iter().filter(is_elsewhere).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_of_the_older_hierarchy_are_named() {
        let hybrid =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t4\t16\t1\npids\t8\t1\t1\n";
        assert_eq!(elsewhere(hybrid), ["cpu", "memory"]);
    }

    #[test]
    fn nothing_is_missing_of_a_unified_hierarchy() {
        assert!(elsewhere("cpu\t0\t90\t1\nmemory\t0\t90\t1\n").is_empty());
        assert!(elsewhere("").is_empty());
    }
}
