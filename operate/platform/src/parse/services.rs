//! What runs on the private hosts: the application, PostgreSQL, PgBouncer, Valkey.

use super::section::{Entry, Section};
use super::values::{Scalar, Value};
use crate::settings::{
    AppSettings, ContainerNetwork, Eviction, Persistence, PgBouncerSettings, PoolMode, PostgresSettings,
    ValkeyInstance, ValkeySettings,
};
use crate::version::Version;

/// PgBouncer that is safe to run: earlier ones let a user of `auth_file` log in as another (CVE-2026-107350).
pub const PGBOUNCER_FLOOR: Version = Version::new(1, 26, 1);

/// Variables that the platform sets for the application; the file cannot.
const CONTRACT: [&str; 14] = [
    "PORT",
    "METRICS_PORT",
    "DATABASE_URL",
    "DATABASE_PASSWORD_FILE",
    "DATABASE_DIRECT_URL",
    "DATABASE_DIRECT_PASSWORD_FILE",
    "VALKEY_DURABLE_URL",
    "VALKEY_CACHE_URL",
    "VALKEY_DURABLE_PASSWORD_FILE",
    "VALKEY_CACHE_PASSWORD_FILE",
    "OIDC_ISSUER",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET_FILE",
    "PUBLIC_URL",
];

pub(super) fn app(section: Section<'_>) -> AppSettings {
    let environment = section.section("environment").entries();
    let tmpfs = section.entry("tmpfs").and_then(|entry| entry.items()).unwrap_or_default();
    let app = AppSettings {
        binary: section.get("binary"),
        environment: environment.iter().filter_map(variable).collect(),
        tmpfs: tmpfs.iter().filter_map(directory).collect(),
        read_only: section.or("read_only", true),
        network: section.or("network", ContainerNetwork::Host),
    };
    section.finish();
    app
}

fn variable(entry: &Entry<'_>) -> Option<(String, String)> {
    let name = entry.key.as_str();
    let inner = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !name.chars().all(inner) || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        let help = "expected upper-case letters, digits and underscores".to_owned();
        entry.sheet.report(&entry.key_span, format!("\"{name}\" cannot be a variable's name"), help);
        return None;
    }
    if CONTRACT.contains(&name) {
        let help = "remove it: the contract between platform and application says what it holds".to_owned();
        entry.sheet.report(&entry.key_span, format!("the platform sets {name} itself"), help);
        return None;
    }
    let value = Scalar::read(entry)?.0;
    if value.contains(['\n', '\r', '\0']) {
        entry.reject(format!("{name} has more than one line"), "put it into a file".to_owned());
        return None;
    }
    Some((name.to_owned(), value))
}

fn directory(entry: &Entry<'_>) -> Option<String> {
    let text = entry.text("a directory in quotes")?;
    let plain = text.split('/').skip(1).all(|part| !part.is_empty() && part != ".." && part != ".");
    if text.starts_with('/') && plain && !text.contains([':', ',', '\n']) {
        return Some(text.to_owned());
    }
    let help = "expected an absolute path in the container, such as \"/var/cache/app\"".to_owned();
    entry.reject(format!("\"{text}\" cannot be mounted"), help);
    None
}

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
