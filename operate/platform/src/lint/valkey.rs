//! Valkey: sessions and queue on one side, cache on the other.

use super::rule::{Origin, Rule, Severity, Spot, spot_if};
use crate::{Eviction, OperatingSystem, Persistence, Platform, Role};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "valkey-one-instance",
        origin: Origin::Row(5),
        severity: Severity::Error,
        reason: "maxmemory-policy is one setting of a server process: logical databases share it, so either the \
                 queue can lose jobs or the cache can fill up.",
        fix: "Remove `instances`: two servers run on the cache host, `durable` and `cache`.",
        find: one_instance,
    },
    Rule {
        id: "valkey-durable-evicts",
        origin: Origin::Row(11),
        severity: Severity::Error,
        reason: "Under memory pressure an evicting server drops sessions and queued jobs, also with an append-only \
                 file.",
        fix: "Set `eviction` of [valkey.durable] to \"noeviction\".",
        find: durable_evicts,
    },
    Rule {
        id: "valkey-durable-forgets",
        origin: Origin::Row(11),
        severity: Severity::Error,
        reason: "Without an append-only file a restart logs everyone out and loses queued jobs.",
        fix: "Set `persistence` of [valkey.durable] to \"append-only\".",
        find: durable_forgets,
    },
    Rule {
        id: "valkey-cache-refuses",
        origin: Origin::Row(5),
        severity: Severity::Warning,
        reason: "A full cache that does not evict refuses every write.",
        fix: "Set `eviction` of [valkey.cache] to \"allkeys-lfu\" or \"allkeys-lru\".",
        find: cache_refuses,
    },
    Rule {
        id: "valkey-cache-persists",
        origin: Origin::Row(11),
        severity: Severity::Note,
        reason: "A cache can be filled again, and its append-only file costs a write to disk for each change.",
        fix: "Set `persistence` of [valkey.cache] to \"none\".",
        find: cache_persists,
    },
    Rule {
        id: "valkey-memory",
        origin: Origin::Design,
        severity: Severity::Error,
        reason: "Valkey needs room beside its data for buffers and for rewriting the append-only file, or the kernel \
                 kills it.",
        fix: "Keep both `memory_mb` of [valkey] together at three quarters of the host's, or give the host more.",
        find: too_much_memory,
    },
    Rule {
        id: "valkey-old-archive",
        origin: Origin::Difference(10),
        severity: Severity::Error,
        reason: "Ubuntu 24.04 has Valkey 7.2, which is below the floor that two holes for remote code set, and no \
                 vendor keeps a newer one.",
        fix: "Give the host with the role cache `os = \"ubuntu-26.04\"` or a Debian.",
        find: old_archive,
    },
];

fn one_instance(platform: &Platform) -> Vec<Spot> {
    spot_if(platform.settings.valkey.instances < 2, "valkey.instances", || {
        "one Valkey holds sessions, queue and cache".to_owned()
    })
}

fn durable_evicts(platform: &Platform) -> Vec<Spot> {
    let eviction = platform.settings.valkey.durable.eviction;
    spot_if(eviction != Eviction::NoEviction, "valkey.durable.eviction", || {
        format!("sessions and queue are evicted by \"{}\"", eviction.as_str())
    })
}

fn durable_forgets(platform: &Platform) -> Vec<Spot> {
    let forgets = platform.settings.valkey.durable.persistence == Persistence::None;
    spot_if(forgets, "valkey.durable.persistence", || "sessions and queue are in memory alone".to_owned())
}

fn cache_refuses(platform: &Platform) -> Vec<Spot> {
    let refuses = platform.settings.valkey.cache.eviction == Eviction::NoEviction;
    spot_if(refuses, "valkey.cache.eviction", || "the cache does not evict".to_owned())
}

fn cache_persists(platform: &Platform) -> Vec<Spot> {
    let persists = platform.settings.valkey.cache.persistence == Persistence::AppendOnly;
    spot_if(persists, "valkey.cache.persistence", || "the cache is written to disk".to_owned())
}

fn too_much_memory(platform: &Platform) -> Vec<Spot> {
    let valkey = &platform.settings.valkey;
    let wanted = valkey.durable.memory_mb.saturating_add(valkey.cache.memory_mb);
    let tight = platform.hosts_with(Role::Cache).filter(|host| wanted > host.memory_mb / 4 * 3);
    tight
        .map(|host| {
            let what = format!("Valkey may take {wanted} of the {} MB of {}", host.memory_mb, host.name);
            Spot::new(format!("hosts.{}.memory_mb", host.name), what)
        })
        .collect()
}

fn old_archive(platform: &Platform) -> Vec<Spot> {
    let old = platform.hosts_with(Role::Cache).filter(|host| host.os == OperatingSystem::Ubuntu2404);
    old.map(|host| Spot::new(format!("hosts.{}.os", host.name), format!("{} runs {}", host.name, host.os)))
        .collect()
}
