use super::*;

fn render(software: Software, os: OperatingSystem) -> String {
    match source(software, os) {
        Err(error) => error.to_string(),
        Ok(source) => {
            let repository = source.repository.map_or_else(String::new, |repository| {
                let key = repository.key.map_or_else(String::new, |key| {
                    format!(" signed by {}", openpgp::fingerprint(&key).unwrap())
                });
                let suites = repository.suites.join(" ");
                format!(" from {} {} {}{key}", repository.uri, suites, repository.components.join(" "))
            });
            let release = source.release.map_or_else(String::new, |release| format!(" in {release}"));
            let least = source.at_least.map_or_else(String::new, |version| format!(" >= {version}"));
            format!("{}{least}{repository}{release}", source.packages.join(" "))
        }
    }
}

#[test]
fn debian_14_needs_no_vendor() {
    for (software, expected) in [
        (Software::Postgres(18), "postgresql-18 postgresql-client-18"),
        (Software::PgBouncer, "pgbouncer"),
        (Software::Valkey, "valkey-server valkey-tools"),
        (Software::Docker, "docker.io docker-cli"),
        (Software::Caddy, "caddy"),
        (Software::Fail2ban, "fail2ban"),
    ] {
        assert_eq!(render(software, Debian14), expected);
    }
}

#[test]
fn debian_13_takes_what_debian_and_its_backports_have() {
    assert_eq!(postgres_version(Debian13), 17);
    for (software, expected) in [
        (Software::Postgres(17), "postgresql-17 postgresql-client-17"),
        (Software::PgBouncer, "pgbouncer >= 1.24.1-1+deb13u2"),
        (Software::Valkey, "valkey-server valkey-tools >= 8.1.1+dfsg1-3+deb13u3"),
        (Software::Docker, "docker.io docker-cli >= 26.1.5+dfsg1-9+deb13u1"),
        (
            Software::Caddy,
            "caddy from http://deb.debian.org/debian trixie-backports main in trixie-backports",
        ),
    ] {
        assert_eq!(render(software, Debian13), expected);
    }
    assert!(render(Software::Postgres(18), Debian13).contains("leave postgres.version out"));
}

#[test]
fn ubuntu_takes_vendors_over_https_with_pinned_keys() {
    let pgdg = "signed by B97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8";
    let docker = "signed by 9DC858229FC7DD38854AE2D88D81803C0EBFCD88";
    let caddy = "signed by 65760C51EDEA2017CEA2CA15155B6D79CA56EA34";
    for (os, code) in [(Ubuntu2404, "noble"), (Ubuntu2604, "resolute")] {
        let from_pgdg = format!("from https://apt.postgresql.org/pub/repos/apt {code}-pgdg main {pgdg}");
        assert_eq!(
            render(Software::Postgres(18), os),
            format!("postgresql-18 postgresql-client-18 {from_pgdg}")
        );
        assert_eq!(render(Software::PgBouncer, os), format!("pgbouncer {from_pgdg}"));
        assert_eq!(
            render(Software::Docker, os),
            format!(
                "docker-ce docker-ce-cli containerd.io from https://download.docker.com/linux/ubuntu {code} stable {docker}"
            )
        );
        assert_eq!(
            render(Software::Caddy, os),
            format!(
                "caddy from https://dl.cloudsmith.io/public/caddy/stable/deb/debian any-version main {caddy}"
            )
        );
        assert_eq!(render(Software::Fail2ban, os), "fail2ban");
    }
    assert_eq!(render(Software::Valkey, Ubuntu2604), "valkey-server valkey-tools");
    assert!(render(Software::Valkey, Ubuntu2404).contains("give the host ubuntu-26.04"));
}

#[test]
fn every_vendor_is_https_and_has_its_pinned_key() {
    for vendor in [&PGDG, &DOCKER, &CADDY] {
        assert!(vendor.uri.starts_with("https://"), "{}", vendor.uri);
        vendor.trusted_key().unwrap();
    }
}

#[test]
fn a_key_with_another_fingerprint_is_refused() {
    let swapped = Vendor { key: DOCKER.key, ..PGDG };
    let error = swapped.repository(Ubuntu2404).unwrap_err().to_string();
    assert!(error.contains("9DC858229FC7DD38854AE2D88D81803C0EBFCD88"), "{error}");
    let damaged = Vendor { key: "nothing", ..PGDG };
    assert!(matches!(damaged.repository(Ubuntu2404), Err(SourceError::Key { .. })));
}

#[test]
fn a_floor_knows_branches() {
    let valkey = floor(Software::Valkey, Debian14);
    for (version, fit) in [
        ("9.1.2", true),
        ("9.1.0", false),
        ("9.0.5", true),
        ("9.0.4", false),
        ("8.1.9", true),
        ("8.1.8", false),
    ] {
        assert_eq!(valkey.allows(Version::parse(version).unwrap()), fit, "{version}");
    }
    assert!(!valkey.allows(Version::new(8, 0, 30)), "a branch older than every maintained one");
    assert!(!valkey.allows(Version::new(7, 2, 12)));
    assert!(valkey.allows(Version::new(10, 0, 0)), "a branch newer than every floor");
}

#[test]
fn a_postgres_floor_holds_for_each_major_version() {
    let postgres = floor(Software::Postgres(18), Debian14);
    for (version, fit) in [("18.6", true), ("18.5", false), ("17.12", true), ("17.11", false), ("18.7", true)]
    {
        assert_eq!(postgres.allows(Version::parse(version).unwrap()), fit, "{version}");
    }
}
