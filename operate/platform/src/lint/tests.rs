use super::*;
use crate::parse::tests::REAL;
use std::collections::BTreeSet;

fn lint_with(addition: &str) -> Vec<Finding> {
    let (real, addition) = match addition {
        // No addition can give a host another role.
        "BOTH" => (REAL.replace("roles = [\"db\"]", "roles = [\"db\", \"identity\"]"), "PROVIDER"),
        addition => (REAL.to_owned(), addition),
    };
    let text = format!("{real}{}", addition.replace("PROVIDER", PROVIDER).replace("DIGEST", &"a".repeat(64)));
    let platform = Platform::parse(&text, "platform.toml").unwrap_or_else(|errors| panic!("{errors}"));
    lint(&platform)
}

/// A rule, what breaks it, and what comes near and does not; both are appended to a clean platform.
struct Case {
    rule: &'static str,
    broken: &'static str,
    fine: &'static str,
}

const fn case(rule: &'static str, broken: &'static str, fine: &'static str) -> Case {
    Case { rule, broken, fine }
}

const CASES: [Case; 45] = [
    case(
        "cdn-ssl-mode",
        "[cdn]\nprovider = 'cloudflare'\nssl_mode = 'flexible'",
        "[cdn]\nprovider = 'cloudflare'\nssl_mode = 'full-strict'",
    ),
    case(
        "cdn-origin-open",
        "[cdn]\nprovider = 'cloudflare'\n[[flows]]\nfrom = 'internet'\nto = 'edge'\nport = 443\npurpose = 'x'",
        "[[flows]]\nfrom = 'internet'\nto = 'edge'\nport = 443\npurpose = 'x'",
    ),
    case(
        "cdn-origin-pulls",
        "[cdn]\nprovider = 'cloudflare'",
        "[cdn]\nprovider = 'cloudflare'\norigin_pull_authority = 'pulls.pem'",
    ),
    case(
        "cdn-raw-port",
        "[cdn]\nprovider = 'cloudflare'\n[[flows]]\nfrom = 'cdn'\nto = 'edge'\nport = 5432\npurpose = 'x'",
        "[cdn]\nprovider = 'cloudflare'\n[[flows]]\nfrom = 'cdn'\nto = 'edge'\nport = 443\npurpose = 'x'",
    ),
    case(
        "cdn-bypassed-port",
        "[cdn]\nprovider = 'cloudflare'\n[[flows]]\nfrom = 'internet'\nto = 'edge'\nport = 25\npurpose = 'x'",
        "[cdn]\nprovider = 'cloudflare'\n[[flows]]\nfrom = '192.0.2.1'\nto = 'edge'\nport = 25\npurpose = 'x'",
    ),
    case(
        "acme-wildcard-challenge",
        "[acme]\nnames = ['*.shop.example']",
        "[acme]\nnames = ['*.shop.example']\nchallenge = 'dns-01'",
    ),
    case(
        "acme-dns-token",
        "[acme]\nchallenge = 'dns-01'",
        "[acme]\nchallenge = 'dns-01'\n[cdn]\nprovider = 'cloudflare'\napi_token_file = 'token'",
    ),
    case(
        "acme-redirected-challenge",
        "[cdn]\nprovider = 'cloudflare'\nalways_use_https = true",
        "[cdn]\nprovider = 'cloudflare'\nalways_use_https = true\n[acme]\nchallenge = 'dns-01'",
    ),
    case(
        "fail2ban-behind-cdn",
        "[fail2ban]\naction = 'firewall'\n[cdn]\nprovider = 'cloudflare'",
        "[fail2ban]\naction = 'firewall'",
    ),
    case(
        "ssh-from-everywhere",
        "[[flows]]\nfrom = 'internet'\nto = 'edge'\nport = 22\npurpose = 'x'",
        "[[flows]]\nfrom = '192.0.2.0/24'\nto = 'edge'\nport = 22\npurpose = 'x'",
    ),
    case(
        "pgbouncer-prepared-version",
        "[pgbouncer]\nminimum_version = '1.20'",
        "[pgbouncer]\nminimum_version = '1.20'\npool_mode = 'session'",
    ),
    case(
        "pgbouncer-prepared-off",
        "[pgbouncer]\nmax_prepared_statements = 0",
        "[pgbouncer]\nmax_prepared_statements = 1",
    ),
    case(
        "pgbouncer-session-pooling",
        "[pgbouncer]\npool_mode = 'session'",
        "[pgbouncer]\npool_mode = 'transaction'",
    ),
    case(
        "pgbouncer-statement-pooling",
        "[pgbouncer]\npool_mode = 'statement'",
        "[pgbouncer]\npool_mode = 'session'",
    ),
    case(
        "pgbouncer-floor",
        "[pgbouncer]\nminimum_version = '1.26.0'",
        "[pgbouncer]\nminimum_version = '1.26.1'",
    ),
    case(
        "pgbouncer-debian-13",
        "[hosts.db2]\nroles = ['db']\naddress = '10.0.0.31'\nos = 'debian-13'",
        "[hosts.cache2]\nroles = ['cache']\naddress = '10.0.0.41'\nos = 'debian-13'",
    ),
    case("pgbouncer-pool-size", "[pgbouncer]\npool_size = 91", "[pgbouncer]\npool_size = 90"),
    case(
        "postgres-logical-replication",
        "[postgres.extra]\nwal_level = 'logical'",
        "[postgres.extra]\nwal_level = 'replica'",
    ),
    case("postgres-unsafe-setting", "[postgres.extra]\nfsync = false", "[postgres.extra]\nfsync = true"),
    case(
        "postgres-io-uring",
        "[postgres.extra]\nio_method = 'io_uring'",
        "[postgres.extra]\nio_method = 'worker'",
    ),
    case("postgres-old", "[postgres]\nversion = 16", "[postgres]\nversion = 18"),
    case("postgres-previous", "[postgres]\nversion = 17", "[postgres]\nversion = 18"),
    case("postgres-not-packaged", "[postgres]\nversion = 17", "[postgres]\nversion = 18"),
    case(
        "data-one-path",
        "[[flows]]\nfrom = 'identity'\nto = 'db'\nport = 5432\npurpose = 'x'",
        "[[flows]]\nfrom = 'app'\nto = 'db'\nport = 5433\npurpose = 'x'",
    ),
    case(
        "exporters-exposed",
        "[[flows]]\nfrom = 'internet'\nto = 'edge'\nport = 9100\npurpose = 'x'",
        "[[flows]]\nfrom = 'identity'\nto = 'edge'\nport = 9100\npurpose = 'x'",
    ),
    case("valkey-one-instance", "[valkey]\ninstances = 1", "[valkey]\ninstances = 2"),
    case(
        "valkey-durable-evicts",
        "[valkey.durable]\neviction = 'allkeys-lru'",
        "[valkey.cache]\neviction = 'allkeys-lru'",
    ),
    case(
        "valkey-durable-forgets",
        "[valkey.durable]\npersistence = 'none'",
        "[valkey.cache]\npersistence = 'none'",
    ),
    case(
        "valkey-cache-refuses",
        "[valkey.cache]\neviction = 'noeviction'",
        "[valkey.durable]\neviction = 'noeviction'",
    ),
    case(
        "valkey-cache-persists",
        "[valkey.cache]\npersistence = 'append-only'",
        "[valkey.durable]\npersistence = 'append-only'",
    ),
    case("valkey-memory", "[valkey.cache]\nmemory_mb = 2817", "[valkey.cache]\nmemory_mb = 2816"),
    case(
        "valkey-old-archive",
        "[hosts.two]\nroles = ['cache']\naddress = '10.0.0.60'\nos = 'ubuntu-24.04'",
        "[hosts.two]\nroles = ['app']\naddress = '10.0.0.60'\nos = 'ubuntu-24.04'",
    ),
    case(
        "app-temp-files",
        "[app]\ntmpfs = ['/var/cache']\n[app.environment]\nTMPDIR = '/var/cachet'",
        "[app]\ntmpfs = ['/var/cache']\n[app.environment]\nTMPDIR = '/var/cache/app'",
    ),
    case("app-writable-root", "[app]\nread_only = false", "[app]\nread_only = true"),
    case("app-published-ports", "[app]\nnetwork = 'bridge'", "[app]\nnetwork = 'host'"),
    case(
        "app-shared-network",
        "[identity]\nbroker = 'authentik'\n[hosts.both]\nroles = ['app', 'identity']\naddress = '10.0.0.60'",
        "[identity]\nbroker = 'bastide'\n[hosts.both]\nroles = ['app', 'identity']\naddress = '10.0.0.60'",
    ),
    case(
        "app-secret-in-environment",
        "[app.environment]\nQUEUE = 'amqp://app:hunter2@queue.example/'",
        "[app.environment]\nQUEUE = 'amqp://queue.example/'\nQUEUE_PASSWORD_FILE = '/run/queue'",
    ),
    case(
        "app-service-inside",
        "[app]\nerror_tracker = 'https://key@10.0.0.50/1'",
        "[app]\nerror_tracker = 'https://key@192.0.2.50/1'",
    ),
    case(
        "app-mail-port",
        "[app.mail]\nurl = 'smtp://mail.example:25'\nfrom = 'a@shop.example'",
        "[app.mail]\nurl = 'smtp://mail.example'\nfrom = 'a@shop.example'",
    ),
    case(
        "identity-shared-client",
        "[identity.providers]\ngoogle = { client_id = 'a', client_secret_file = 'g' }\n\
         github = { client_id = 'a', client_secret_file = 'h' }",
        "[identity.providers]\ngoogle = { client_id = 'a', client_secret_file = 'g' }\n\
         github = { client_id = 'b', client_secret_file = 'h' }",
    ),
    case(
        "identity-scopes",
        "[identity.providers]\ngithub = { client_id = 'a', client_secret_file = 'h', scopes = ['read:user'] }",
        "[identity.providers]\ngoogle = { client_id = 'a', client_secret_file = 'h', scopes = ['openid', 'email'] }",
    ),
    case("identity-linking-by-address", "[identity]\nlinking = 'address'", "[identity]\nlinking = 'vouched'"),
    case(
        "apple-name-not-asked",
        "[identity.providers]\napple = { client_id = 'a', key_file = 'k', key_id = 'i', team_id = 't', scopes = ['email'] }",
        "[identity.providers]\napple = { client_id = 'a', key_file = 'k', key_id = 'i', team_id = 't' }",
    ),
    case(
        "apple-name-lost",
        "[identity]\nbroker = 'authentik'\n[identity.providers]\n\
         apple = { client_id = 'a', key_file = 'k', key_id = 'i', team_id = 't' }",
        "[identity.providers]\napple = { client_id = 'a', key_file = 'k', key_id = 'i', team_id = 't' }",
    ),
    case(
        "identity-tokens-in-app",
        "[identity]\nupstream_tokens = 'application'",
        "[identity]\nupstream_tokens = 'issuer'",
    ),
];

const PROVIDER: &str = "[identity.providers]\ngoogle = { client_id = 'a', client_secret_file = 'g' }";

/// What is wrong with a client of this platform, which has a provider.
const CLIENTS: [Case; 9] = [
    case(
        "identity-no-provider",
        "[identity.clients.wiki]\nredirect_uris = ['https://wiki.example/back']",
        "[identity]\nlinking = 'ask'",
    ),
    case(
        "identity-own-name",
        "[identity]\ndomain = 'shop.example'",
        "[identity]\ndomain = 'login.shop.example'",
    ),
    case(
        "identity-several-hosts",
        "[hosts.two]\nroles = ['identity']\naddress = '10.0.0.60'\nPROVIDER",
        "[hosts.two]\nroles = ['identity']\naddress = '10.0.0.60'",
    ),
    case("identity-beside-database", "BOTH", "PROVIDER"),
    case(
        "identity-client-redirect",
        "[identity.clients.wiki]\nredirect_uris = ['http://wiki.example/back']",
        "[identity.clients.wiki]\nredirect_uris = ['https://wiki.example/back', 'http://127.0.0.1:9/back']",
    ),
    case(
        "identity-client-logout",
        "[identity.clients.wiki]\nredirect_uris = ['https://w.example/']\nback_channel_logout_uri = 'http://127.0.0.1/'",
        "[identity.clients.wiki]\nredirect_uris = ['https://w.example/']\nback_channel_logout_uri = 'https://w.example/'",
    ),
    case(
        "identity-client-taken",
        "PROVIDER\n[identity.clients.app]\nredirect_uris = ['https://w.example/']",
        "PROVIDER\n[identity.clients.app]\nredirect_uris = ['https://w.example/']\n[app.sign_in]\n\
         issuer = 'https://l.example'\nclient_id = 'c'\nclient_secret_file = 's'",
    ),
    case(
        "identity-client-shared-redirect",
        "[identity.clients]\na.redirect_uris = ['https://w.example/']\nb.redirect_uris = ['https://w.example/']",
        "[identity.clients]\na.redirect_uris = ['https://w.example/']\nb.redirect_uris = ['https://w.example/b']",
    ),
    case(
        "identity-client-without-pkce",
        "[identity.clients.wiki]\nredirect_uris = ['https://w.example/']\npkce = 'optional'",
        "[identity.clients.wiki]\nredirect_uris = ['https://w.example/']\npkce = 'required'",
    ),
];

/// What Authentik cannot do.
const AUTHENTIK: [Case; 5] = [
    case(
        "authentik-image",
        "[identity]\nbroker = 'authentik'\nauthentik.image = 'ghcr.io/goauthentik/server:2026.8'",
        "[identity]\nbroker = 'authentik'\nauthentik.image = 'ghcr.io/goauthentik/server@sha256:DIGEST'",
    ),
    case(
        "authentik-linking",
        "[identity]\nbroker = 'authentik'\n[identity.providers]\ngithub = { client_id = 'a', client_secret_file = 'g' }",
        "[identity]\nbroker = 'authentik'\n[identity.providers]\ngoogle = { client_id = 'a', client_secret_file = 'g' }",
    ),
    case(
        "authentik-token-exchange",
        "[identity]\nbroker = 'authentik'\n[identity.clients.w]\nredirect_uris = ['https://w.example/']\nupstream_tokens = true",
        "[identity.clients.w]\nredirect_uris = ['https://w.example/']\nupstream_tokens = true",
    ),
    case(
        "authentik-pkce",
        "[identity]\nbroker = 'authentik'\n[identity.clients.w]\nredirect_uris = ['https://w.example/']",
        "[identity]\nbroker = 'authentik'\n[identity.clients.w]\nredirect_uris = ['https://w.example/']\npkce = 'optional'",
    ),
    case(
        "authentik-unsupported",
        "[identity]\nbroker = 'authentik'\n[identity.providers]\n\
         google = { client_id = 'a', client_secret_file = 'g', hosted_domain = 'shop.example' }",
        "[identity.providers]\ngoogle = { client_id = 'a', client_secret_file = 'g', hosted_domain = 'shop.example' }",
    ),
];

const MICROSOFT: [Case; 3] = [
    case(
        "microsoft-secret-undated",
        "[identity.providers]\nmicrosoft = { client_id = 'a', client_secret_file = 's' }",
        "[identity.providers]\nmicrosoft = { client_id = 'a', client_secret_file = 's', client_secret_expires = 2027-05-01 }",
    ),
    case(
        "microsoft-secret",
        "[identity.providers]\nmicrosoft = { client_id = 'a', client_secret_file = 's', client_secret_expires = 2027-05-01 }",
        "[identity.providers]\nmicrosoft = { client_id = 'a', certificate_file = 'c', key_file = 'k' }",
    ),
    case(
        "microsoft-certificate-on-authentik",
        "[identity]\nbroker = 'authentik'\n[identity.providers]\n\
         microsoft = { client_id = 'a', certificate_file = 'c', key_file = 'k' }",
        "[identity.providers]\nmicrosoft = { client_id = 'a', certificate_file = 'c', key_file = 'k' }",
    ),
];

fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(&CLIENTS).chain(&AUTHENTIK).chain(&MICROSOFT)
}

#[test]
fn a_plain_platform_is_clean() {
    assert_eq!(lint_with(""), []);
}

#[test]
fn every_rule_finds_what_breaks_it_and_nothing_near() {
    for Case { rule, broken, fine } in cases() {
        let hit = |addition: &str| lint_with(addition).into_iter().find(|finding| finding.rule == *rule);
        let finding = hit(broken).unwrap_or_else(|| panic!("{rule} does not find {broken}"));
        assert!(finding.location.is_some(), "{finding}");
        assert!(hit(fine).is_none(), "{rule} finds {fine}");
    }
}

#[test]
fn every_rule_has_a_case_and_a_name_of_its_own() {
    let tested: BTreeSet<&str> = cases().map(|case| case.rule).collect();
    let known: BTreeSet<&str> = rules().map(|rule| rule.id).collect();
    assert_eq!(tested, known);
    assert_eq!(rules().count(), known.len(), "two rules have one name");
}

#[test]
fn reasons_and_fixes_are_single_sentences() {
    for rule in rules() {
        for sentence in [rule.reason, rule.fix] {
            assert!(sentence.ends_with('.') && !sentence.contains(". "), "{}: {sentence}", rule.id);
            assert!(!sentence.contains("  "), "{}: {sentence}", rule.id);
        }
    }
}

#[test]
fn every_row_of_the_matrix_is_covered() {
    let numbers: Vec<u8> = ROWS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=19).collect::<Vec<u8>>());
    for row in &ROWS {
        let has_rule = rules().any(|rule| rule.origin == Origin::Row(row.number));
        let without: bool =
            row.covered_by.contains("Documentation") || row.covered_by.contains("No file can");
        assert!(has_rule || without, "row {} has neither a rule nor a reason for none", row.number);
    }
}

#[test]
fn findings_are_sorted_and_printed_with_their_place() {
    let findings =
        lint_with("[valkey]\ninstances = 1\n[pgbouncer]\nminimum_version = '1.22'\npool_size = 95\n");
    let printed: Vec<(Severity, &str)> =
        findings.iter().map(|finding| (finding.severity, finding.rule)).collect();
    assert_eq!(
        printed,
        [
            (Severity::Error, "valkey-one-instance"),
            (Severity::Error, "pgbouncer-pool-size"),
            (Severity::Warning, "pgbouncer-floor"),
        ]
    );
    assert_eq!(
        findings[2].to_string(),
        "platform.toml:27:1: warning pgbouncer-floor: PgBouncer 1.22.0 may run, below the floor of 1.26.1
  why: From 1.17.0 to 1.26.0 a user in `auth_file` can log in as another (CVE-2026-107350).
  fix: Remove `minimum_version`, and take PgBouncer from a source that has 1.26.1."
    );
}

#[test]
fn an_operator_everywhere_is_named() {
    let text = REAL.replace("192.0.2.7", "0.0.0.0/0");
    let findings = lint(&Platform::parse(&text, "platform.toml").unwrap());
    assert_eq!((findings.len(), findings[0].rule), (1, "ssh-from-everywhere"));
}

/// The page is written from the rules: run with `BASTIDE_WRITE_DOCS=1` after changing one.
#[test]
fn the_compatibility_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");
    if std::env::var_os("BASTIDE_WRITE_DOCS").is_some() {
        std::fs::write(path, compatibility_page()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == compatibility_page(), "docs/compatibility.md is stale: run with BASTIDE_WRITE_DOCS=1");
}
