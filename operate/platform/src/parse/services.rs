//! What runs on the private hosts beside the application: PostgreSQL, PgBouncer, Valkey.

use super::section::{Entry, Section};
use super::values::{Scalar, Value};
use crate::settings::{
    Eviction, Persistence, PgBouncerSettings, PoolMode, PostgresSettings, ValkeyInstance, ValkeySettings,
};
use crate::version::Version;

/// PgBouncer that is safe to run: earlier ones let a user of `auth_file` log in as another (CVE-2026-107350).
pub const PGBOUNCER_FLOOR: Version = Version::new(1, 26, 1);

pub(super) fn postgres(section: Section<'_>) -> PostgresSettings {
    let version = section.located::<u16>("version");
    if let Some((number, span)) = &version
        && !(9..=99).contains(number)
    {
        section.sheet.report(span, format!("there is no PostgreSQL {number}"), "expected 18".to_owned());
    }
    let extra = section.section("extra").entries();
    let settings = PostgresSettings {
        version: version.map(|(number, _)| number),
        max_connections: at_least(&section, "max_connections", 10, 100),
        extra: extra.iter().filter_map(setting).collect(),
    };
    section.finish();
    settings
}

fn setting(entry: &Entry<'_>) -> Option<(String, String)> {
    let name = entry.key.as_str();
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
    if name.is_empty() || !name.chars().all(inner) {
        let help = "expected the name of a setting, such as \"work_mem\"".to_owned();
        entry.sheet.report(&entry.key_span, format!("\"{name}\" cannot be a setting"), help);
        return None;
    }
    let value = Scalar::read(entry)?.0;
    if value.contains(['\n', '\r', '\0']) {
        entry.reject(format!("{name} has more than one line"), None);
        return None;
    }
    Some((name.to_owned(), value))
}

pub(super) fn pgbouncer(section: Section<'_>) -> PgBouncerSettings {
    let settings = PgBouncerSettings {
        pool_mode: section.or("pool_mode", PoolMode::Transaction),
        max_prepared_statements: section.or("max_prepared_statements", 200),
        pool_size: at_least(&section, "pool_size", 1, 20),
        max_clients: at_least(&section, "max_clients", 1, 1000),
        minimum_version: section.or("minimum_version", PGBOUNCER_FLOOR),
    };
    section.finish();
    settings
}

pub(super) fn valkey(section: Section<'_>) -> ValkeySettings {
    let instances = section.located::<u8>("instances");
    if let Some((count, span)) = &instances
        && !(1..=2).contains(count)
    {
        section.sheet.report(span, format!("Valkey cannot run {count} times"), "expected 2".to_owned());
    }
    let settings = ValkeySettings {
        instances: instances.map_or(2, |(count, _)| count),
        durable: instance(section.section("durable"), Eviction::NoEviction, Persistence::AppendOnly),
        cache: instance(section.section("cache"), Eviction::AllKeysLfu, Persistence::None),
    };
    section.finish();
    settings
}

fn instance(section: Section<'_>, eviction: Eviction, persistence: Persistence) -> ValkeyInstance {
    let memory = section.located::<u32>("memory_mb");
    if let Some((megabytes, span)) = &memory
        && *megabytes < 16
    {
        let help = "expected at least 16".to_owned();
        section.sheet.report(span, format!("Valkey cannot work in {megabytes} MB"), help);
    }
    let instance = ValkeyInstance {
        memory_mb: memory.map_or(256, |(megabytes, _)| megabytes),
        eviction: section.or("eviction", eviction),
        persistence: section.or("persistence", persistence),
    };
    section.finish();
    instance
}

/// The number at `key`, or `default`; less than `least` is reported.
fn at_least(section: &Section<'_>, key: &'static str, least: u16, default: u16) -> u16 {
    let Some((number, span)) = section.located::<u16>(key) else { return default };
    if number < least {
        let help = format!("expected an integer from {least} to {}", u16::MAX);
        section.sheet.report(&span, format!("`{key}` cannot be {number}"), help);
    }
    number
}
