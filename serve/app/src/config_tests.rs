use std::collections::BTreeMap;
use std::path::Path;

use super::*;

/// A complete environment, with its files in `directory`.
fn complete(directory: &Path) -> BTreeMap<String, String> {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("ca.pem"), key.cert.pem()).unwrap();
    std::fs::write(directory.join("password"), "s3cret\n").unwrap();
    std::fs::write(directory.join("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::write(directory.join("sealing"), format!("1:{}=\n", "A".repeat(43))).unwrap();
    let path = |name: &str| directory.join(name).display().to_string();
    [
        ("PORT", "8080".to_owned()),
        ("METRICS_PORT", "9464".to_owned()),
        ("PUBLIC_URL", "https://app.example.test".to_owned()),
        ("PRIVATE_CA_FILE", path("ca.pem")),
        ("DATABASE_URL", "postgres://app@10.0.0.4:6432/app".to_owned()),
        ("DATABASE_PASSWORD_FILE", path("password")),
        ("DATABASE_DIRECT_URL", "postgres://owner@db.internal:5432/app?sslmode=verify-full".to_owned()),
        ("DATABASE_DIRECT_PASSWORD_FILE", path("password")),
        ("VALKEY_DURABLE_URL", "rediss://app@10.0.0.5:6379".to_owned()),
        ("VALKEY_DURABLE_PASSWORD_FILE", path("password")),
        ("VALKEY_CACHE_URL", "rediss://app@[fd00::5]:6380/0".to_owned()),
        ("VALKEY_CACHE_PASSWORD_FILE", path("password")),
        ("SECRET_KEY_FILE", path("secret")),
        ("SEALING_KEYS_FILE", path("sealing")),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn problems(environment: &BTreeMap<String, String>) -> Vec<String> {
    match ServeConfig::read(|name| environment.get(name).cloned()) {
        Ok(_) => Vec::new(),
        Err(ConfigErrors(problems)) => problems,
    }
}

/// One variable changed; the problems that follow.
fn problems_with(name: &str, value: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut environment = complete(directory.path());
    environment.insert(name.to_owned(), value.to_owned());
    problems(&environment).join("\n")
}

#[test]
fn a_complete_environment_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let environment = complete(directory.path());
    let config = ServeConfig::read(|name| environment.get(name).cloned()).unwrap();
    assert_eq!(config.listen.application.to_string(), "0.0.0.0:8080");
    assert_eq!(config.metrics.to_string(), "0.0.0.0:9464");
    assert_eq!((config.database.host.as_str(), config.database.port), ("10.0.0.4", 6432));
    assert_eq!(config.database.password.expose(), "s3cret");
    assert_eq!(config.cache.host, "fd00::5");
    assert_eq!(config.release, env!("CARGO_PKG_VERSION"));
    assert!(config.listen.tls.is_none() && config.tracker.is_none());

    let migrate = MigrateConfig::read(|name| environment.get(name).cloned()).unwrap();
    assert_eq!((migrate.database.user.as_str(), migrate.database.host.as_str()), ("owner", "db.internal"));
    assert_eq!(migrate.serving_role.as_deref(), Some("app"));
}

#[test]
fn every_problem_is_listed_at_once() {
    let listed = problems(&BTreeMap::new());
    for name in [
        "PORT",
        "METRICS_PORT",
        "PUBLIC_URL",
        "PRIVATE_CA_FILE",
        "DATABASE_URL",
        "DATABASE_PASSWORD_FILE",
        "VALKEY_DURABLE_URL",
        "VALKEY_DURABLE_PASSWORD_FILE",
        "VALKEY_CACHE_URL",
        "VALKEY_CACHE_PASSWORD_FILE",
        "SECRET_KEY_FILE",
        "SEALING_KEYS_FILE",
    ] {
        assert_eq!(
            listed.iter().filter(|problem| problem.starts_with(&format!("{name}:"))).count(),
            1,
            "{name}: {listed:#?}"
        );
    }
}

#[test]
fn a_password_in_a_url_is_refused_and_not_repeated() {
    for (name, value) in [
        ("DATABASE_URL", "postgres://app:hunter2@10.0.0.4:6432/app"),
        ("VALKEY_CACHE_URL", "rediss://app:hunter2@10.0.0.5:6380"),
        ("SENTRY_DSN", "https://key:hunter2@tracker.example/1"),
    ] {
        let listed = problems_with(name, value);
        assert!(listed.contains("password"), "{listed}");
        assert!(!listed.contains("hunter2"), "{listed}");
    }
}

#[test]
fn connections_without_verified_tls_are_refused() {
    assert!(problems_with("DATABASE_URL", "postgres://app@h:1/app?sslmode=disable").contains("verify-full"));
    assert!(problems_with("DATABASE_URL", "postgres://app@h:1/app?host=elsewhere").contains("verify-full"));
    assert!(problems_with("VALKEY_DURABLE_URL", "redis://app@h:1").contains("rediss"));
    assert!(problems_with("PUBLIC_URL", "http://app.example.test").contains("https"));
}

#[test]
fn incomplete_and_impossible_values_are_refused() {
    for (name, value) in [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("METRICS_PORT", "8080"),
        ("BIND_ADDRESS", "localhost"),
        ("TLS_CERT_FILE", "/only/one"),
        ("PRIVATE_CA_FILE", "/dev/null"),
        ("DATABASE_PASSWORD_FILE", "/dev/null"),
        ("DATABASE_PASSWORD_FILE", "/does/not/exist"),
        ("SECRET_KEY_FILE", "/proc/self/comm"),
        ("SEALING_KEYS_FILE", "/proc/self/comm"),
        ("EXTRA_CA_FILE", "/dev/null"),
        ("WEBHOOK_ALLOWED_NETWORKS", "localhost"),
        ("WORKERS", "4"),
        ("DATABASE_URL", "postgres://app@10.0.0.4/app"),
        ("DATABASE_URL", "postgres://10.0.0.4:6432/app"),
        ("DATABASE_URL", "postgres://app@10.0.0.4:6432"),
        ("VALKEY_CACHE_URL", "rediss://app@10.0.0.5:6380/2"),
        ("SENTRY_DSN", "tracker.example"),
        ("SENTRY_DSN", "http://key@tracker.example/1"),
        ("SENTRY_DSN", "https://key:secret@tracker.example/1"),
        ("SENTRY_DSN", "https://tracker.example/1"),
        ("SENTRY_DSN", "https://key@tracker.example/"),
    ] {
        assert!(problems_with(name, value).contains(name), "{name}={value} was accepted");
    }
}

/// The three variables of an issuer, with a file of a secret.
fn with_issuer(directory: &Path) -> BTreeMap<String, String> {
    let mut environment = complete(directory);
    environment.insert("OIDC_ISSUER".to_owned(), "https://id.example.test/realm/".to_owned());
    environment.insert("OIDC_CLIENT_ID".to_owned(), "app".to_owned());
    environment
        .insert("OIDC_CLIENT_SECRET_FILE".to_owned(), directory.join("password").display().to_string());
    environment
}

#[test]
fn an_issuer_is_all_of_its_variables_or_none() {
    let directory = tempfile::tempdir().unwrap();
    let environment = with_issuer(directory.path());
    let config = ServeConfig::read(|name| environment.get(name).cloned()).unwrap();
    let issuer = config.issuer.unwrap();
    assert_eq!(issuer.name, "https://id.example.test/realm/");
    assert_eq!(issuer.discovery.as_str(), "https://id.example.test/realm/.well-known/openid-configuration");
    assert_eq!((issuer.client_id.as_str(), issuer.client_secret.expose()), ("app", "s3cret"));

    let without = complete(directory.path());
    assert!(ServeConfig::read(|name| without.get(name).cloned()).unwrap().issuer.is_none());
    for missing in ["OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET_FILE"] {
        let mut environment = environment.clone();
        environment.remove(missing);
        let listed = problems(&environment);
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert!(listed[0].starts_with(missing), "{listed:?}");
    }
}

#[test]
fn an_issuer_is_an_https_url_of_its_own() {
    for value in [
        "http://id.example.test",
        "id.example.test",
        "https://user:hunter2@id.example.test",
        "https://id.example.test?a=b",
        "https://id.example.test#a",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut environment = with_issuer(directory.path());
        environment.insert("OIDC_ISSUER".to_owned(), value.to_owned());
        let listed = problems(&environment).join("\n");
        assert!(listed.starts_with("OIDC_ISSUER: "), "{value}: {listed}");
        assert!(!listed.contains("hunter2"), "{listed}");
    }
    assert!(problems_with("EXTRA_CA_FILE", "/dev/null").contains("EXTRA_CA_FILE"));
}
