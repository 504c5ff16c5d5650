//! What the components put on the hosts, compared with what a person has read and agreed to.
//!
//! `RENDER=1 cargo test -p bastide-components --test rendering` writes `tests/rendered` anew; read the difference.

#![allow(clippy::unwrap_used, reason = "a test that panics fails, which is what it is for")]

use bastide_components::{AppImage, Authority, Context, Program, Secrets, Step, resources};
use bastide_converge::resource::{Content, File, Resource, ResourceId, Spec};
use bastide_platform::{CdnProvider, Host, Platform};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const NOW: i64 = 1_795_000_000;
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

/// The lab's platform file, or a part of it replaced.
fn platform(directory: &Path, replace: &[(&str, &str)]) -> Platform {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../platform.toml");
    let mut text = std::fs::read_to_string(file).unwrap();
    // There is no lab that would make them credentials.
    for login in ["google", "github", "microsoft", "apple"] {
        text = text.replace(&format!("[identity.providers.{login}]\n"), "");
    }
    for (from, to) in replace {
        assert!(text.contains(from), "platform.toml has no {from:?}");
        text = text.replace(from, to);
    }
    let path = directory.join("platform.toml");
    std::fs::write(directory.join("authority.pem"), PEM).unwrap();
    std::fs::write(directory.join("wiki.json"), "{\"keys\":[]}").unwrap();
    for name in ["token", "sign-in", "mail", "google", "github", "work", "microsoft.key", "apple.p8"] {
        let path = directory.join(name);
        std::fs::write(&path, format!("the-operators-{name}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let mut platform = Platform::parse(&text, &path).unwrap_or_else(|error| panic!("{error}"));
    // A lab makes these itself.
    platform.settings.cdn.origin_pull_authority = Some("authority.pem".into());
    platform.settings.acme.root = Some("authority.pem".into());
    platform.settings.acme.directory = "https://acme.test:14000/dir".to_owned();
    platform
}

struct Rendered {
    by_host: BTreeMap<String, Vec<Resource>>,
}

fn render(directory: &Path, platform: &Platform) -> Rendered {
    let secrets = Secrets::open(&directory.join("secrets")).unwrap();
    let authority = Authority::open(&secrets, NOW).unwrap();
    let app_image = AppImage {
        reference: "bastide/app:3f1c".to_owned(),
        id: "sha256:3f1c".to_owned(),
        archive: "3f1c".to_owned(),
    };
    let issuer = Program { sha256: "5".repeat(64) };
    let names = BTreeMap::new();
    let context = Context {
        platform,
        secrets: &secrets,
        authority: &authority,
        app_image: &app_image,
        issuer: Some(&issuer),
        now: NOW,
        names: &names,
    };
    let of =
        |host: &Host| resources(&context, host, Step::Application).unwrap_or_else(|error| panic!("{error}"));
    Rendered { by_host: platform.hosts.iter().map(|host| (host.name.to_string(), of(host))).collect() }
}

impl Rendered {
    fn files(&self, host: &str) -> impl Iterator<Item = &File> {
        self.by_host[host].iter().filter_map(|resource| match &resource.spec {
            Spec::File(file) => Some(file),
            _ => None,
        })
    }

    fn text(&self, host: &str, path: &str) -> &str {
        let file = self.files(host).find(|file| file.path == path);
        match &file.unwrap_or_else(|| panic!("{host} gets no {path}")).content {
            Content::Text(text) => text,
            Content::Blob(_) => panic!("{path} is no text"),
        }
    }
}

/// Everything that a platform file can say of the issuer.
const ISSUER: &str = r#"[identity.providers.google]
client_id = "g.apps.example"
client_secret_file = "google"
hosted_domain = "shop.example"
[identity.providers.github]
client_id = "Iv1.example"
client_secret_file = "github"
[identity.providers.microsoft]
client_id = "00000000-example"
certificate_file = "authority.pem"
key_file = "microsoft.key"
tenant = "organizations"
[identity.providers.apple]
client_id = "example.shop"
key_file = "apple.p8"
key_id = "ABC123DEFG"
team_id = "DEF123GHIJ"
key_expires = 2027-05-01
[identity.oidc.work]
issuer = "https://login.work.example"
hosts = ["tokens.work.example"]
client_secret_expires = 2027-06-01
label = "Work"
client_id = "w"
client_secret_file = "work"
vouches = true
[identity.clients.wiki]
name = "The wiki"
redirect_uris = ["https://wiki.example/callback"]
keys_file = "wiki.json"
algorithm = "RS256"
[identity.clients.forum]
redirect_uris = ["https://forum.example/callback"]
pkce = "optional"
[lab]
"#;

/// The files that a person has read, without those which hold secrets or the platform's authority.
const READ: [(&str, &[&str]); 4] = [
    (
        "db",
        &[
            "/etc/postgresql/18/main/pg_hba.conf",
            "/etc/pgbouncer/pgbouncer.ini",
            "/etc/pgbouncer/hba.conf",
            "/etc/systemd/system/pgbouncer.service.d/bastide.conf",
        ],
    ),
    (
        "cache",
        &[
            "/etc/bastide/valkey/durable.conf",
            "/etc/bastide/valkey/cache.conf",
            "/etc/systemd/system/valkey@.service",
        ],
    ),
    (
        "app",
        &[
            "/etc/docker/daemon.json",
            "/etc/bastide/app.env",
            "/etc/bastide/app-migrate.env",
            "/etc/systemd/system/app@.service",
            "/etc/systemd/system/app-migrate.service",
        ],
    ),
    ("edge", &["/etc/caddy/Caddyfile", "/etc/fail2ban/jail.d/bastide.conf"]),
];

#[test]
fn files_are_as_they_were_read() {
    let directory = tempfile::tempdir().unwrap();
    let rendered = render(directory.path(), &platform(directory.path(), &[]));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rendered");
    for (host, paths) in READ {
        for path in paths {
            let text = rendered.text(host, path);
            let file = golden.join(format!("{host}{}", path.replace('/', "_")));
            if std::env::var_os("RENDER").is_some() {
                std::fs::write(&file, text).unwrap();
            }
            let expected = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(text, expected, "{path} is not as in {}", file.display());
        }
    }
}

/// What an issuer adds, in files of their own names.
const READ_OF_ISSUER: [(&str, &[&str]); 3] = [
    (
        "identity",
        &[
            "/etc/bastide/identity.env",
            "/etc/bastide/identity-migrate.env",
            "/etc/bastide/identity.toml",
            "/etc/postgresql/18/main/pg_hba.conf",
            "/etc/systemd/system/identity.service",
            "/etc/systemd/system/identity-migrate.service",
            "/usr/local/sbin/bastide-identity",
        ],
    ),
    ("app", &["/etc/bastide/app.env"]),
    ("edge", &["/etc/caddy/Caddyfile"]),
];

#[test]
fn files_with_an_issuer_are_as_they_were_read() {
    let directory = tempfile::tempdir().unwrap();
    let rendered = render(directory.path(), &platform(directory.path(), &[("[lab]\n", ISSUER)]));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rendered/issuer");
    for (host, paths) in READ_OF_ISSUER {
        for path in paths {
            let text = rendered.text(host, path);
            let file = golden.join(format!("{host}{}", path.replace('/', "_")));
            if std::env::var_os("RENDER").is_some() {
                std::fs::write(&file, text).unwrap();
            }
            let expected = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(text, expected, "{path} is not as in {}", file.display());
        }
    }
}

#[test]
fn the_issuer_and_the_application_share_a_secret_that_nobody_typed() {
    let directory = tempfile::tempdir().unwrap();
    let rendered = render(directory.path(), &platform(directory.path(), &[("[lab]\n", ISSUER)]));
    let own = rendered.text("identity", "/etc/bastide/identity/client-app.secret");
    assert_eq!(own, rendered.text("app", "/etc/bastide/app/sign-in.password"));
    assert!(own.trim_end().len() >= 32, "long enough for the issuer");
    let handed: Vec<&File> =
        rendered.files("identity").filter(|file| file.path.starts_with("/etc/bastide/identity/")).collect();
    for name in [
        "provider-microsoft.key",
        "provider-apple.key",
        "provider-work.secret",
        "sealing-keys",
        "owner.password",
    ] {
        assert!(handed.iter().any(|file| file.path.ends_with(name)), "{name}");
    }
    for file in handed {
        let mode = if file.path.ends_with("/sealing-keys") { 0o440 } else { 0o400 };
        assert!(file.sensitive && file.mode == mode && file.owner == "root", "{}", file.path);
    }
    let restarted = rendered.by_host["identity"].iter().find_map(|resource| match &resource.spec {
        Spec::Unit(unit) if unit.name == "identity.service" => Some(unit.restart_on.clone()),
        _ => None,
    });
    let restarted: Vec<String> = restarted.unwrap().iter().map(ToString::to_string).collect();
    for path in [
        "/usr/local/lib/bastide/identity",
        "/etc/bastide/identity/provider-google.secret",
        "/etc/bastide/identity.toml",
    ] {
        assert!(restarted.contains(&format!("file {path}")), "a change of {path} starts nothing anew");
    }
    assert!(!restarted.iter().any(|what| what.ends_with("sealing-keys")), "it is followed without a restart");
}

#[test]
fn another_issuer_that_the_platform_file_names_wins() {
    let directory = tempfile::tempdir().unwrap();
    let both = ISSUER.replace("[lab]\n", "") + &SERVICES.replace("url = \"smtp:", "url = \"smtps:");
    let rendered = render(directory.path(), &platform(directory.path(), &[("[lab]\n", &both)]));
    let environment = rendered.text("app", "/etc/bastide/app.env");
    assert!(environment.contains("OIDC_ISSUER=https://login.example\n"), "{environment}");
    assert!(!rendered.text("identity", "/etc/bastide/identity.toml").contains("id = \"app\""));
    let environment = rendered.text("identity", "/etc/bastide/identity.env");
    for line in [
        "SMTP_URL=smtps://shop@mail.example:2525",
        "SMTP_PASSWORD_FILE=/run/credentials/identity.service/mail.password",
        "SENTRY_DSN=https://0123456789abcdef@errors.example/1",
        "EXTRA_CA_FILE=/run/credentials/identity.service/extra-authority.pem",
    ] {
        assert!(environment.lines().any(|found| found == line), "no {line} in {environment}");
    }
    let forwarded = rendered.by_host["edge"].iter().find_map(|resource| match &resource.spec {
        Spec::Firewall(firewall) => Some(&firewall.forward),
        _ => None,
    });
    let mail = forwarded.unwrap().iter().map(|rule| rule.from.as_str()).collect::<Vec<_>>();
    assert_eq!(mail, ["10.0.0.0/24", "10.0.0.20/32", "10.0.0.50/32"]);
}

/// Authentik for the issuer, with as much as it can do.
const AUTHENTIK: &str = r#"[identity]
broker = "authentik"
linking = "ask"
authentik.image = "ghcr.io/goauthentik/server@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
[identity.providers.google]
client_id = "g.apps.example"
client_secret_file = "google"
[identity.providers.microsoft]
client_id = "00000000-example"
client_secret_file = "work"
client_secret_expires = 2027-05-01
tenant = "organizations"
[identity.providers.apple]
client_id = "example.shop"
key_file = "apple.p8"
key_id = "ABC123DEFG"
team_id = "DEF123GHIJ"
[identity.clients.forum]
redirect_uris = ["https://forum.example/callback"]
pkce = "optional"
[lab]
"#;

#[test]
fn files_with_authentik_are_as_they_were_read() {
    let directory = tempfile::tempdir().unwrap();
    let platform = platform(directory.path(), &[("[lab]\n", AUTHENTIK)]);
    let findings = bastide_platform::lint(&platform);
    assert!(
        findings.iter().all(|finding| finding.severity < bastide_platform::Severity::Error),
        "{findings:?}"
    );
    let rendered = render(directory.path(), &platform);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rendered/authentik");
    for (host, paths) in [
        (
            "identity",
            &[
                "/etc/bastide/authentik/wanted.json",
                "/etc/bastide/authentik-server.env",
                "/etc/systemd/system/authentik@.service",
                "/etc/postgresql/18/main/pg_hba.conf",
            ][..],
        ),
        ("edge", &["/etc/caddy/Caddyfile"]),
    ] {
        for path in paths {
            let text = rendered.text(host, path);
            let file = golden.join(format!("{host}{}", path.replace('/', "_")));
            if std::env::var_os("RENDER").is_some() {
                std::fs::write(&file, text).unwrap();
            }
            let expected = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(text, expected, "{path} is not as in {}", file.display());
        }
    }
    let environment = rendered.text("app", "/etc/bastide/app.env");
    assert!(
        environment.contains("OIDC_ISSUER=https://id.bastide.test/application/o/app/\n"),
        "{environment}"
    );
    let units = rendered.by_host["identity"].iter().filter_map(|resource| match &resource.spec {
        Spec::Unit(unit) if unit.name.starts_with("identity") || unit.name.starts_with("authentik") => {
            Some((unit.name.as_str(), unit.running))
        }
        _ => None,
    });
    let expected =
        [("identity.service", false), ("authentik@server.service", true), ("authentik@worker.service", true)];
    assert_eq!(units.collect::<Vec<_>>(), expected);
}

#[test]
fn without_a_login_provider_no_issuer_runs() {
    let directory = tempfile::tempdir().unwrap();
    let platform = platform(directory.path(), &[]);
    let rendered = render(directory.path(), &platform);
    let units: Vec<(&str, bool)> = rendered.by_host["identity"]
        .iter()
        .filter(|resource| resource.component == "identity")
        .map(|resource| match &resource.spec {
            Spec::Unit(unit) => (unit.name.as_str(), unit.running),
            _ => ("something else", true),
        })
        .collect();
    assert_eq!(units, [("identity.service", false)], "Authentik is a component of its own");
    let flows = bastide_components::flows(&platform);
    assert!(flows.iter().all(|flow| flow.port.number != 9000));
}

/// Every service outside that a platform file can name.
const SERVICES: &str = r#"[app]
error_tracker = "https://0123456789abcdef@errors.example/1"
extra_authority = "authority.pem"
[app.sign_in]
issuer = "https://login.example"
client_id = "shop"
client_secret_file = "sign-in"
[app.mail]
url = "smtp://shop@mail.example:2525"
from = "Shop <no-reply@shop.example>"
password_file = "mail"
[lab]
"#;

#[test]
fn the_application_is_told_of_services_outside_and_its_mail_gets_out() {
    let directory = tempfile::tempdir().unwrap();
    let rendered = render(directory.path(), &platform(directory.path(), &[("[lab]\n", SERVICES)]));
    let environment = rendered.text("app", "/etc/bastide/app.env");
    for line in [
        "OIDC_ISSUER=https://login.example",
        "OIDC_CLIENT_ID=shop",
        "OIDC_CLIENT_SECRET_FILE=/etc/bastide/app/sign-in.password",
        "SMTP_URL=smtp://shop@mail.example:2525?tls=required",
        "SMTP_PASSWORD_FILE=/etc/bastide/app/mail.password",
        "MAIL_FROM=Shop <no-reply@shop.example>",
        "SENTRY_DSN=https://0123456789abcdef@errors.example/1",
        "EXTRA_CA_FILE=/etc/bastide/app/extra-authority.pem",
    ] {
        assert!(environment.lines().any(|found| found == line), "no {line} in {environment}");
    }
    assert_eq!(rendered.text("app", "/etc/bastide/app/extra-authority.pem"), PEM);
    for name in ["sign-in", "mail"] {
        let path = format!("/etc/bastide/app/{name}.password");
        let file = rendered.files("app").find(|file| file.path == path).unwrap();
        assert!(file.sensitive && file.mode == 0o400 && file.owner == "bastide-app", "{file:?}");
        assert_eq!(rendered.text("app", &path), format!("the-operators-{name}\n"));
        let slots = rendered.by_host["app"].iter().find_map(|resource| match &resource.spec {
            Spec::Slots(slots) => Some(slots),
            _ => None,
        });
        let restarts = slots.unwrap().restart_on.iter().any(|id| id.to_string() == format!("file {path}"));
        assert!(restarts, "a change of {path} starts no fresh instance");
    }
    let forwarded = rendered.by_host["edge"].iter().find_map(|resource| match &resource.spec {
        Spec::Firewall(firewall) => Some(&firewall.forward),
        _ => None,
    });
    let mail = forwarded.unwrap().last().unwrap();
    let expected = ("10.0.0.20/32", Some(vec![(2525, "tcp".to_owned())]));
    assert_eq!((mail.from.as_str(), mail.ports.clone()), expected);
}

#[test]
fn what_the_platform_file_names_no_more_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let rendered = render(directory.path(), &platform(directory.path(), &[]));
    let gone = rendered.by_host["app"].iter().filter_map(|resource| match &resource.spec {
        Spec::Absent(absent) => Some(absent.path.as_str()),
        _ => None,
    });
    let expected = ["sign-in.password", "mail.password", "extra-authority.pem"];
    assert_eq!(Vec::from_iter(gone), expected.map(|name| format!("/etc/bastide/app/{name}")));
}

/// Otherwise a platform file could say one thing and the container hear another.
#[test]
fn no_variable_of_the_contract_can_be_set_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let rendered = render(directory.path(), &platform(directory.path(), &[("[lab]\n", SERVICES)]));
    let files = ["app.env", "app-blue.env", "app-migrate.env"];
    let text = files.map(|name| rendered.text("app", &format!("/etc/bastide/{name}"))).concat();
    for name in text.lines().filter_map(|line| line.split('=').next()) {
        let file =
            include_str!("../../../platform.toml").to_owned() + &format!("[app.environment]\n{name} = 'x'\n");
        let error = Platform::parse(&file, "platform.toml").expect_err(name).to_string();
        assert!(error.contains(&format!("the platform sets {name} itself")), "{error}");
    }
}

#[test]
fn secrets_stand_in_sensitive_files_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = ISSUER.replace("[lab]\n", SERVICES);
    let platform = platform(directory.path(), &[("[lab]\n", &issuer)]);
    let rendered = render(directory.path(), &platform);
    let secrets = Secrets::open(&directory.path().join("secrets")).unwrap();
    let names = [
        "postgres/app",
        "postgres/app_owner",
        "postgres/pgbouncer",
        "valkey/durable/app",
        "valkey/cache/app",
        "valkey/durable/monitor",
        "valkey/durable/fill",
        "postgres/identity",
        "postgres/identity_owner",
        "identity/secret-key",
        "identity/client/forum",
    ];
    for (host, resources) in &rendered.by_host {
        for resource in resources {
            if matches!(&resource.spec, Spec::File(file) if file.sensitive && file.mode & 0o007 == 0) {
                continue;
            }
            let text = serde_json::to_string(resource).unwrap();
            for name in names {
                let password = secrets.password(name);
                assert!(!text.contains(password.reveal()), "{} on {host} shows {name}", resource.id());
            }
            assert!(!text.contains("the-operators-"), "{} on {host} shows a secret", resource.id());
        }
    }
}

#[test]
fn a_host_has_every_resource_once() {
    let directory = tempfile::tempdir().unwrap();
    let rendered = render(directory.path(), &platform(directory.path(), &[("[lab]\n", ISSUER)]));
    for (host, resources) in &rendered.by_host {
        let mut ids: Vec<String> = resources.iter().map(|resource| resource.id().to_string()).collect();
        ids.sort();
        let repeated: Vec<&[String]> = ids.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(repeated.is_empty(), "{host}: {repeated:?}");
    }
}

#[test]
fn units_depend_on_what_comes_before_them() {
    let directory = tempfile::tempdir().unwrap();
    let rendered = render(directory.path(), &platform(directory.path(), &[("[lab]\n", ISSUER)]));
    for (host, resources) in &rendered.by_host {
        let mut before: Vec<ResourceId> = Vec::new();
        for resource in resources {
            let needed = match &resource.spec {
                Spec::Unit(unit) => [unit.restart_on.clone(), unit.reload_on.clone()].concat(),
                Spec::Slots(slots) => slots.restart_on.clone(),
                _ => vec![],
            };
            for id in needed {
                assert!(
                    before.contains(&id),
                    "{host}: {} needs {id}, which does not come before it",
                    resource.id()
                );
            }
            before.push(resource.id());
        }
    }
}

#[test]
fn without_a_cdn_everybody_may_come_and_http_3_is_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut platform = platform(directory.path(), &[]);
    platform.settings.cdn.provider = CdnProvider::None;
    let rendered = render(directory.path(), &platform);
    let caddyfile = rendered.text("edge", "/etc/caddy/Caddyfile");
    assert!(caddyfile.contains("protocols h1 h2 h3"), "{caddyfile}");
    for word in ["trusted_proxies", "client_auth", "disable_tlsalpn_challenge"] {
        assert!(!caddyfile.contains(word), "{word} in {caddyfile}");
    }
    let flows: Vec<String> = bastide_components::flows(&platform)
        .iter()
        .filter(|flow| flow.from.to_string() == "internet")
        .map(|flow| flow.port.to_string())
        .collect();
    assert_eq!(flows, ["80/tcp", "443/tcp", "443/udp"]);
}

#[test]
fn debian_13_has_its_own_version_of_postgresql() {
    let directory = tempfile::tempdir().unwrap();
    let rendered = render(
        directory.path(),
        &platform(directory.path(), &[("os = \"debian-14\"", "os = \"debian-13\"")]),
    );
    rendered.text("db", "/etc/postgresql/17/main/pg_hba.conf");
    let settings = rendered.by_host["db"].iter().find_map(|resource| match &resource.spec {
        Spec::PostgresSettings(settings) => Some(settings),
        _ => None,
    });
    let settings = settings.unwrap();
    assert_eq!(settings.version, 17);
    assert!(!settings.values.iter().any(|(name, _)| name == "io_method"), "17 knows no io_method");
}

#[test]
fn a_token_lets_bans_act_at_the_cdn() {
    let directory = tempfile::tempdir().unwrap();
    let mut platform = platform(directory.path(), &[]);
    platform.settings.cdn.api_token_file = Some("token".into());
    let rendered = render(directory.path(), &platform);
    assert!(rendered.text("edge", "/etc/fail2ban/jail.d/bastide.conf").contains("\n         cdn-ban\n"));
    assert_eq!(rendered.text("edge", "/etc/bastide/cloudflare.token"), "the-operators-token\n");
    assert!(!rendered.text("edge", "/etc/fail2ban/action.d/cdn-ban.conf").contains("the-operators-token"));
}

#[test]
fn a_cdn_without_its_authority_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut platform = platform(directory.path(), &[]);
    platform.settings.cdn.origin_pull_authority = None;
    let secrets = Secrets::open(&directory.path().join("secrets")).unwrap();
    let authority = Authority::open(&secrets, NOW).unwrap();
    let app_image = AppImage { reference: String::new(), id: String::new(), archive: String::new() };
    let issuer = Program { sha256: "5".repeat(64) };
    let names = BTreeMap::new();
    let context = Context {
        platform: &platform,
        secrets: &secrets,
        authority: &authority,
        app_image: &app_image,
        issuer: Some(&issuer),
        now: NOW,
        names: &names,
    };
    let error = resources(&context, platform.edge(), Step::Application).unwrap_err().to_string();
    assert!(error.contains("cloudflare on edge") && error.contains("cdn.origin_pull_authority"), "{error}");
}
