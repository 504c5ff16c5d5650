//! The machine that labs run on, as a picture that can be compared.

use std::collections::BTreeSet;
use std::process::Command;

/// Everything on the machine that a lab could leave behind. Other labs may come and go meanwhile.
#[derive(Debug)]
pub struct Picture {
    lines: BTreeSet<String>,
    /// Whether no other lab was there.
    alone: bool,
}

/// Topics, each with the script that lists its facts.
const FACTS: [(&str, &str); 12] = [
    ("namespace", "ls /run/netns"),
    ("link", "ls /sys/class/net"),
    ("address", "ip -br address | tr -s ' '"),
    ("route", "ip route show table all"),
    ("nft", "nft list ruleset"),
    ("iptables", "iptables-save | grep -v '^[#:]'"),
    ("mount", "cut -d' ' -f 2,3 /proc/mounts"),
    ("hosts", "cat /etc/hosts; stat -c '%a %u' /etc/hosts"),
    ("forwarding", "grep . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/forwarding"),
    ("process", "ps -eo stat,cgroup,args | grep -v '^Z' | grep -e '[b]astide/' -e '[s]ystemd-nspawn'"),
    ("cgroup", "find /sys/fs/cgroup -maxdepth 4 -path '*bastide*'"),
    ("file", "find /run/bastide /var/lib/bastide/labs /run/systemd/nspawn -maxdepth 3"),
];

impl Picture {
    /// Takes the picture.
    pub fn take() -> Self {
        let facts = FACTS.iter().flat_map(|(topic, script)| {
            let output = Command::new("sh").args(["-c", script]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().map(|line| format!("{topic}: {line}")).collect::<Vec<_>>()
        });
        let labs = std::fs::read_dir("/var/lib/bastide/labs").map_or(0, Iterator::count);
        Self { lines: facts.collect(), alone: labs == 0 }
    }

    /// Fails if something of the lab called `name` is in this picture, or, where no other lab was there before or
    /// now, if anything differs from `before`.
    pub fn assert_nothing_left_of(&self, name: &str, before: &Self) {
        let words = [format!("bs-{name}"), format!("/{name}"), format!("{name}.test"), format!("_{name}")];
        let left: Vec<_> = self
            .lines
            .difference(&before.lines)
            .filter(|line| words.iter().any(|word| line.contains(word)))
            .collect();
        assert!(left.is_empty(), "left of lab {name}: {left:#?}");
        if self.alone && before.alone {
            let differs: Vec<_> = self.lines.symmetric_difference(&before.lines).collect();
            assert!(differs.is_empty(), "the machine is not as it was: {differs:#?}");
        }
    }
}
