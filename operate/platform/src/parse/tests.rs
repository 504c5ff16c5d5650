use crate::*;

/// A platform on real servers, complete and as short as it can be.
pub(crate) const REAL: &str = r#"name = "shop"
domain = "shop.example"
os = "debian-14"
private_network = "10.0.0.0/24"
[hosts.edge]
roles = ["edge"]
address = "10.0.0.10"
public_address = "198.51.100.10"
[hosts.app]
roles = ["app"]
address = "10.0.0.20"
[hosts.db]
roles = ["db"]
address = "10.0.0.30"
[hosts.cache]
roles = ["cache"]
address = "10.0.0.40"
[hosts.identity]
roles = ["identity"]
address = "10.0.0.50"
[operator]
addresses = ["192.0.2.7"]
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ops"]
"#;

fn lab_text() -> String {
    crate::init::render_lab("bastide", "198.51.100.0/26".parse().unwrap(), "bastide.test")
}

fn parse(text: &str) -> Platform {
    Platform::parse(text, "platform.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is wrong with a text, as `line:column message | help`.
fn wrong(text: &str) -> Vec<String> {
    let errors = Platform::parse(text, "platform.toml").expect_err("the text is wrong");
    let line = |problem: &Problem| {
        let at = problem.excerpt.as_ref().map_or("file".to_owned(), |excerpt| excerpt.location.to_string());
        let help = problem.help.as_deref().map(|help| format!(" | {help}")).unwrap_or_default();
        format!("{at} {}{help}", problem.message)
    };
    errors.problems.iter().map(line).collect()
}

/// The one problem that replacing `from` by `to` in [`REAL`] makes.
fn wrong_with(from: &str, to: &str) -> String {
    assert!(REAL.contains(from), "{from:?} is in the text");
    only(wrong(&REAL.replacen(from, to, 1)))
}

/// The one problem that appending makes.
fn wrong_after(addition: &str) -> String {
    only(wrong(&format!("{REAL}{addition}")))
}

fn only(mut problems: Vec<String>) -> String {
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn a_lab_makes_its_own_operator_cdn_and_authorities() {
    let platform = parse(&lab_text());
    assert_eq!(platform.hosts.len(), 5);
    assert_eq!(platform.edge().public_address, Some("198.51.100.10".parse().unwrap()));
    assert_eq!(platform.edge().zone, Zone::Dmz);
    assert_eq!(platform.host("db").map(|db| (db.zone, db.memory_mb)), Some((Zone::Private, 2048)));
    let lab = platform.settings.lab.as_ref().unwrap();
    assert_eq!(lab.operator().to_string(), "198.51.100.1");
    assert_eq!(lab.cdn_range().to_string(), "198.51.100.32/29");
    assert!(platform.settings.operator.keys.is_empty() && platform.settings.cdn.ranges.is_empty());
    assert_eq!(platform.settings.acme.directory, "");
}

#[test]
fn defaults_are_those_of_production() {
    let platform = parse(REAL);
    let settings = &platform.settings;
    assert_eq!(settings.acme.directory, LETS_ENCRYPT);
    assert_eq!(settings.cdn.provider, CdnProvider::None);
    assert_eq!(settings.operator.addresses, ["192.0.2.7/32".parse().unwrap()]);
    assert_eq!(settings.pgbouncer.pool_mode, PoolMode::Transaction);
    assert_eq!(settings.pgbouncer.minimum_version, PGBOUNCER_FLOOR);
    assert_eq!(settings.valkey.durable.eviction, Eviction::NoEviction);
    assert_eq!(settings.valkey.durable.persistence, Persistence::AppendOnly);
    assert_eq!(settings.valkey.cache.eviction, Eviction::AllKeysLfu);
    assert_eq!(settings.valkey.cache.persistence, Persistence::None);
    assert_eq!(settings.fail2ban.action, BanAction::Proxy);
    assert!(settings.app.read_only && settings.app.network == ContainerNetwork::Host);
    let host = platform.host("app").unwrap();
    assert_eq!((host.os, host.memory_mb), (OperatingSystem::Debian14, 4096));
    assert_eq!(host.ssh, Ssh { user: "root".into(), port: 22 });
}

#[test]
fn cloudflare_brings_its_published_ranges() {
    let platform = parse(&format!("{REAL}[cdn]\nprovider = \"cloudflare\"\n"));
    assert_eq!(platform.settings.cdn.ranges, CLOUDFLARE_RANGES);
    let own = parse(&format!("{REAL}[cdn]\nprovider = \"cloudflare\"\nranges = [\"192.0.2.0/24\"]\n"));
    assert_eq!(own.settings.cdn.ranges, ["192.0.2.0/24".parse().unwrap()]);
}

#[test]
fn hosts_keep_their_order_and_their_own_login() {
    let text = REAL.replace(
        "address = \"10.0.0.20\"",
        "address = \"10.0.0.20\"\nssh = { user = \"admin\", port = 2222 }",
    );
    let platform = parse(&format!("{text}[ssh]\nuser = \"ops\"\n"));
    let names: Vec<&str> = platform.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["edge", "app", "db", "cache", "identity"]);
    assert_eq!(platform.host("app").unwrap().ssh, Ssh { user: "admin".into(), port: 2222 });
    assert_eq!(platform.host("db").unwrap().ssh, Ssh { user: "ops".into(), port: 22 });
}

#[test]
fn several_hosts_may_hold_a_role_and_one_host_several() {
    let text =
        REAL.replace("[\"cache\"]", "[\"cache\", \"identity\"]").replace("[\"identity\"]", "[\"app\"]");
    let platform = parse(&text);
    assert_eq!(platform.hosts_with(Role::App).count(), 2);
    assert_eq!(platform.host("cache").unwrap().roles.len(), 2);
}

#[test]
fn an_error_shows_file_line_and_the_nearest_name() {
    let text = REAL.replace("public_address", "publik_address");
    let errors = Platform::parse(&text, "etc/platform.toml").unwrap_err();
    assert_eq!(
        errors.to_string(),
        "etc/platform.toml:8:1: unknown key `publik_address` in [hosts.edge]
  8 | publik_address = \"198.51.100.10\"
    | ^^^^^^^^^^^^^^
  = did you mean `public_address`? [hosts.edge] has `roles`, `zone`, `address`, `public_address`, `os`, `memory_mb`, `ssh`
1 problem in etc/platform.toml"
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    let text = REAL
        .replace("debian-14", "debian-31")
        .replace("10.0.0.20", "10.0.1.20")
        .replace("[\"db\"]", "[\"bd\"]")
        .replace("10.0.0.50", "10.0.0.40");
    let lines: Vec<String> = wrong(&text).iter().map(|line| line[..4].to_owned()).collect();
    assert_eq!(lines, ["3:6 ", "11:1", "13:1", "20:1"]);
}

#[test]
fn hosts_must_agree_with_each_other() {
    assert_has(
        &wrong_with("10.0.0.50", "10.0.0.40"),
        &["20:11 two hosts have the address", "line 17 has it"],
    );
    assert_has(
        &wrong_with("10.0.0.20", "10.0.1.20"),
        &["11:11 ", "outside the private network", "10.0.0.0/24"],
    );
    assert_has(&wrong_with("10.0.0.20", "10.0.0.255"), &["cannot be a host's"]);
    assert_eq!(
        wrong(&REAL.replace("[hosts.db]", "[hosts.app]"))[0],
        "12:8 duplicate key | each name stands once; remove or rename one"
    );
    assert_has(&wrong_with("[hosts.db]", "[hosts.Db_1]"), &["12:8 \"Db_1\" cannot be the name of a host"]);
    let two_edges = wrong(&REAL.replace("[\"app\"]", "[\"app\", \"edge\"]"));
    assert_has(&two_edges[1], &["10:9 a platform has exactly one edge", "line 5"]);
    assert_has(&wrong_with("[\"db\"]", "[\"app\"]"), &["file no host has the role \"db\""]);
    assert_has(
        &wrong_with("[\"db\"]", "[\"bd\"]"),
        &["13:10 `roles` cannot be \"bd\"", "did you mean \"db\"?"],
    );
    assert_has(
        &wrong_with("[\"db\"]", "[\"db\"]\nzone = \"dmz\""),
        &["14:8 only the edge stands in the dmz"],
    );
    assert_has(&wrong_with("[\"db\"]", "[\"db\"]\nmemory_mb = 64"), &["64 MB"]);
    let public = "[\"db\"]\npublic_address = \"198.51.100.11\"";
    assert_has(&wrong_with("[\"db\"]", public), &["14:18 only the edge has a public address"]);
    assert_has(
        &wrong_with("public_address = \"198.51.100.10\"", ""),
        &["5:1 the edge has no `public_address`"],
    );
    assert_has(&wrong_with("198.51.100.10", "10.0.0.11"), &["not reachable from the internet"]);
}

#[test]
fn values_must_be_of_their_type() {
    assert_has(&wrong_with("\"10.0.0.20\"", "\"10.0.0.256\""), &["11:11 \"10.0.0.256\" is no IPv4 address"]);
    assert_has(
        &wrong_with("\"10.0.0.20\"", "20"),
        &["11:11 `address` must be an IPv4 address", "not an integer"],
    );
    assert_has(&wrong_with("[\"app\"]", "\"app\""), &["10:9 `roles` must be a list, not a string"]);
    assert_has(&wrong_with("[\"app\"]", "[]"), &["a host without a role"]);
    assert_has(
        &wrong_with("debian-14", "debian-15"),
        &["3:6 `os` cannot be \"debian-15\"", "did you mean \"debian-1"],
    );
    assert_has(&wrong_with("name = \"shop\"", "name = \"Shop 1\""), &["1:8 \"Shop 1\" cannot be a name"]);
    assert_has(&wrong_with("shop.example", "https://shop.example/"), &["2:10 ", "without a scheme"]);
    assert_has(&wrong_with("10.0.0.0/24", "10.0.0.9/24"), &["4:19 ", "the network is 10.0.0.0/24"]);
    assert_has(&wrong_after("[postgres]\nmax_connections = 70000\n"), &["25:19 ", "from 0 to 65535"]);
    assert_has(&wrong_after("[pgbouncer]\npool_size = 0\n"), &["25:13 `pool_size` cannot be 0"]);
    assert_has(&wrong_after("[pgbouncer]\nminimum_version = \"new\"\n"), &["\"new\" is no version"]);
    assert_has(
        &wrong_after("[pgbouncer]\npool_mode = \"transactional\"\n"),
        &["did you mean \"transaction\"?"],
    );
    assert_has(&wrong_after("[valkey]\ninstances = 3\n"), &["expected 2"]);
    assert_has(&wrong_after("[valkey.cache]\nmemory_mb = 4\n"), &["4 MB"]);
    assert_has(
        &wrong_after("[app]\ntmpfs = [\"/var/../etc\"]\n"),
        &["25:10 \"/var/../etc\" cannot be mounted"],
    );
    assert_has(&wrong_after("[app.environment]\nPORT = 80\n"), &["25:1 the platform sets PORT itself"]);
    assert_has(&wrong_after("[app.environment]\nlog-level = 80\n"), &["cannot be a variable's name"]);
    assert_has(&wrong_after("[acme]\ndirectory = \"http://ca.example\"\n"), &["no https address"]);
    assert_has(&wrong_after("[acme]\nnames = [\"*.*.shop.example\"]\n"), &["cannot stand in a certificate"]);
    assert_has(&wrong_after("[cdn]\nprovider = \"none\"\nranges = []\n"), &["26:1 `ranges` means nothing"]);
    assert_has(&wrong_after("[ssh]\nuser = \"Root!\"\n"), &["25:8 \"Root!\" cannot log in"]);
}

#[test]
fn what_is_missing_is_named() {
    assert_has(&wrong_with("name = \"shop\"\n", ""), &["file the file has no `name`", "such as: name ="]);
    assert_has(&wrong_with("address = \"10.0.0.20\"\n", ""), &["9:1 [hosts.app] has no `address`"]);
    assert_has(&wrong_with("addresses = [\"192.0.2.7\"]\n", ""), &["21:1 [operator] has no `addresses`"]);
    assert_has(
        &wrong_with("addresses = [\"192.0.2.7\"]", "addresses = []"),
        &["[operator] has no `addresses`"],
    );
    assert!(wrong("").len() > 4);
}

#[test]
fn text_that_is_no_toml_is_an_error_without_consequences() {
    assert_has(&wrong_with("address = \"10.0.0.20\"", "address \"10.0.0.20\""), &["11:9 "]);
    assert_has(&wrong_with("name = \"shop\"", "name = "), &["1:"]);
    assert_has(&wrong_with("\"10.0.0.20\"", "10.0.0.20"), &["11:", "stand in quotes"]);
}

#[test]
fn a_key_file_must_hold_public_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("platform.toml");
    let keys = REAL.lines().last().unwrap();
    let text = REAL.replace(keys, "key_files = [\"ops.pub\"]");
    let parse = || Platform::parse(&text, &path);
    assert!(parse().unwrap_err().to_string().contains("ops.pub cannot be read"));
    std::fs::write(directory.path().join("ops.pub"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    assert!(parse().unwrap_err().to_string().contains("private key"));
    std::fs::write(directory.path().join("ops.pub"), "# nobody\n").unwrap();
    assert!(parse().unwrap_err().to_string().contains("holds no public key"));
    let key = keys.split('"').nth(1).unwrap();
    std::fs::write(directory.path().join("ops.pub"), format!("# ops\n\n{key}\n")).unwrap();
    assert_eq!(parse().unwrap().settings.operator.keys, [key]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Platform::load("/nonexistent/platform.toml").unwrap_err().to_string();
    assert_has(&error, &["/nonexistent/platform.toml: cannot be read", "bastide init"]);
}

#[test]
fn flows_lead_somewhere() {
    let flow = |from: &str, to: &str, port: &str| {
        format!("[[flows]]\nfrom = \"{from}\"\nto = \"{to}\"\nport = {port}\npurpose = \"reports\"\n")
    };
    let good = parse(&format!(
        "{REAL}{}{}",
        flow("app", "db", "5433"),
        flow("192.0.2.0/24", "edge", "\"51820/udp\"")
    ));
    let own = Flow::new(Endpoint::Role(Role::App), Endpoint::Role(Role::Db), Port::tcp(5433), "reports");
    assert_eq!(good.extra_flows[0], own);
    assert_eq!(good.extra_flows[1].port, Port::udp(51820));
    assert_eq!(good.location("flows.1.port").map(|at| at.line), Some(32));

    assert_has(&wrong_after(&flow("app", "database", "5433")), &["26:6 ", "goes nowhere", "expected one of"]);
    assert_has(&wrong_after(&flow("ap", "db", "5433")), &["25:8 ", "did you mean \"app\"?"]);
    assert_has(&wrong_after(&flow("app", "internet", "443")), &["26:6 ", "goes nowhere"]);
    assert_has(&wrong_after(&flow("cdn", "edge", "443")), &["25:8 no CDN"]);
    assert_has(&wrong_after(&flow("internet", "db", "5432")), &["24:1 ", "no route"]);
    assert_has(&wrong_after(&flow("10.0.0.7", "db", "5432")), &["25:8 ", "named by their role"]);
    assert_has(&wrong_after(&flow("app", "db", "0")), &["27:8 ", "from 1 to 65535"]);
    assert_has(&wrong_after(&flow("app", "db", "\"53/sctp\"")), &["27:8 \"53/sctp\" is no port"]);
}

#[test]
fn a_lab_takes_a_quarter_of_its_network() {
    let change = |from: &str, to: &str| only(wrong(&lab_text().replace(from, to)));
    assert_has(
        &change("network = \"198.51.100.0/26\"", "network = \"198.51.100.0/24\""),
        &["cannot be a lab's network"],
    );
    assert_has(&change("\"198.51.100.10\"", "\"198.51.100.70\""), &["outside the lab's network"]);
    for taken in ["198.51.100.0", "198.51.100.1", "198.51.100.33", "198.51.100.63"] {
        assert_has(&change("\"198.51.100.10\"", &format!("\"{taken}\"")), &["the lab needs"]);
    }
    assert_has(&change("domain = \"bastide.test\"", "domain = \"bastide.example\""), &["under .test"]);
    assert_has(&change("os = \"debian-14\"", "os = \"ubuntu-24.04\""), &["cannot boot"]);
}

#[test]
fn the_application_is_told_of_services_outside() {
    let text = r#"
[app]
error_tracker = "https://0123456789abcdef@errors.example/1"
extra_authority = "authority.pem"
[app.sign_in]
issuer = "https://login.example/realm"
client_id = "shop"
client_secret_file = "secrets/sign-in"
[app.mail]
url = "smtps://shop@mail.example"
from = "Shop <no-reply@shop.example>"
password_file = "secrets/mail"
"#;
    let app = parse(&format!("{REAL}{text}")).settings.app;
    let (sign_in, mail) = (app.sign_in.unwrap(), app.mail.unwrap());
    assert_eq!(
        (sign_in.issuer.as_str(), sign_in.client_id.as_str()),
        ("https://login.example/realm", "shop")
    );
    assert_eq!((mail.url.host(), mail.url.port()), ("mail.example", 465));
    assert_eq!(mail.password_file, Some("secrets/mail".into()));

    let sign_in = |rest: &str| wrong_after(&format!("[app.sign_in]\nissuer = \"https://l.example\"\n{rest}"));
    assert_has(&sign_in("client_id = \"a\"\n"), &["24:1 [app.sign_in] has no `client_secret_file`"]);
    let secret = sign_in("client_id = \"a\"\nclient_secret_file = \"s\"\nclient_secret = \"s3cret\"\n");
    assert_has(&secret, &["28:1 unknown key `client_secret`", "did you mean `client_secret_file`?"]);
    let mail = |url: &str, rest: &str| wrong_after(&format!("[app.mail]\nurl = \"{url}\"\n{rest}\n"));
    let from = "from = \"a@shop.example\"";
    assert_has(&mail("smtp://shop@m.example", from), &["24:1 [app.mail] has no `password_file`"]);
    assert_has(&mail("smtp://m.example", &format!("{from}\npassword_file = \"p\"")), &["nobody whose it is"]);
    let text = format!("{REAL}[app.mail]\nurl = \"smtp://shop:hunter2@m.example\"\n{from}\n");
    let password = Platform::parse(&text, "platform.toml").unwrap_err().to_string();
    assert_has(&password, &["`url` in line 25 holds a password"]);
    assert!(!password.contains("hunter2"), "{password}");
    assert_has(&mail("smtp://m.example", "from = \"Shop <shop>\""), &["26:8 mail cannot be from"]);
    assert_has(
        &mail("smtp://m.example", "from = \"a@b.example\\nBcc: c@d.example\""),
        &["mail cannot be from"],
    );
    assert_has(
        &wrong_after("[app]\nerror_tracker = \"https://errors.example/1\"\n"),
        &["names nobody before an @", "expected such as"],
    );
}

#[test]
fn login_providers_name_files_and_no_secrets() {
    let text = r#"
[identity]
linking = "ask"
[identity.providers.apple]
client_id = "test.shop"
key_file = "secrets/apple.p8"
key_id = "K"
team_id = "T"
key_expires = 2027-04-01
[identity.providers.microsoft]
client_id = "m"
client_secret_file = "secrets/microsoft"
client_secret_expires = 2027-05-01
"#;
    let identity = parse(&format!("{REAL}{text}")).settings.identity;
    assert_eq!((identity.linking, identity.broker), (Linking::Ask, Broker::Bastide));
    assert_eq!(identity.providers[0].scopes, ["name", "email"]);
    let Credential::SigningKey { expires, .. } = &identity.providers[0].credential else { panic!("a key") };
    assert_eq!(expires.map(|day| day.to_string()).as_deref(), Some("2027-04-01"));
    let Credential::Secret { expires, .. } = &identity.providers[1].credential else { panic!("a secret") };
    assert_eq!(expires.map(|day| day.to_string()).as_deref(), Some("2027-05-01"));

    let google = "[identity.providers.google]\nclient_id = \"g\"\nclient_secret = \"s\"\n";
    assert!(wrong(&format!("{REAL}{google}"))[0].contains("did you mean `client_secret_file`?"));
    assert_has(
        &wrong_after("[identity.providers.facebook]\nclient_id = \"f\"\n"),
        &["unknown key `facebook`"],
    );
    let mixed = "[identity.providers.microsoft]\nclient_id = \"m\"\ncertificate_file = \"c\"\n";
    assert_has(&wrong_after(mixed), &["mixes two ways"]);
}

#[test]
fn in_a_lab_a_login_provider_may_be_the_lab_s_own() {
    let own = "[identity.providers.google]\nhosted_domain = \"shop.example\"\n[identity.providers.apple]\n";
    let lab = include_str!("../init/lab.toml").replace("{name}", "\"a\"").replace("{domain}", "\"a.test\"");
    let lab = lab.replace("{edge}", "198.51.100.10").replace("{network}", "198.51.100.0/26");
    let without: String =
        lab.split_inclusive('\n').filter(|line| !line.starts_with("[identity.providers.")).collect();
    let providers = parse(&format!("{without}{own}")).settings.identity.providers;
    assert!(providers.iter().all(|login| login.credential == Credential::Lab && login.client_id.is_empty()));
    assert_eq!(providers[0].hosted_domain.as_deref(), Some("shop.example"));
    assert_eq!(parse(&lab).settings.identity.providers.len(), 4);
    // What is named at all is named whole, and real servers have no lab.
    let half = wrong(&format!("{without}[identity.providers.google]\nclient_id = \"g\"\n"));
    assert!(half[0].contains("has no `client_secret_file`"), "{half:?}");
    let real = wrong(&format!("{REAL}[identity.providers.google]\n"));
    assert!(real[0].contains("has no `client_id`"), "{real:?}");
}

#[test]
fn an_issuer_is_there_once_somebody_stands_behind_it() {
    let without = parse(REAL);
    assert!(without.issuer_host().is_none() && !without.signs_in_at_own_issuer());
    let oidc = "[identity.oidc.work]\nissuer = \"https://login.work.example\"\nclient_id = \"c\"\n\
                client_secret_file = \"s\"\n";
    let with = parse(&format!("{REAL}{oidc}"));
    assert_eq!(with.issuer_host().map(|host| host.name.as_str()), Some("identity"));
    assert_eq!(with.issuer_url(), "https://id.shop.example");
    assert!(with.signs_in_at_own_issuer());
    assert_eq!(with.settings.identity.oidc[0].label, "work");
    let named = parse(&format!("{REAL}[identity]\ndomain = \"login.shop.example\"\n{oidc}"));
    assert_eq!(named.issuer_url(), "https://login.shop.example");
    let elsewhere =
        "[app.sign_in]\nissuer = \"https://l.example\"\nclient_id = \"a\"\nclient_secret_file = \"s\"\n";
    assert!(!parse(&format!("{REAL}{oidc}{elsewhere}")).signs_in_at_own_issuer());
    let names =
        parse(&format!("{REAL}[acme]\nnames = [\"id.shop.example\", \"www.shop.example\"]\n")).public_names();
    assert_eq!(names, ["shop.example", "www.shop.example"], "the issuer's name is not the application's");
}

#[test]
fn clients_and_further_providers_are_read_strictly() {
    let client = "[identity.clients.wiki]\nredirect_uris = [\"https://w.example/\"]\n";
    let read = parse(&format!("{REAL}{client}")).settings.identity.clients.remove(0);
    assert_eq!((read.id.as_str(), read.name.as_str(), read.pkce), ("wiki", "wiki", Pkce::Required));
    assert_eq!(read.scopes, ["openid", "email", "profile"]);
    assert_has(&wrong_after("[identity.clients.wiki]\nname = \"W\"\n"), &["has no `redirect_uris`"]);
    let scope = format!("{client}scopes = [\"openid\", \"admin\"]\n");
    assert_has(&wrong_after(&scope), &["there is no scope \"admin\"", "offline_access"]);
    assert_has(&wrong_after(&client.replace("wiki", "\"a b\"")), &["cannot be the name of a client"]);
    assert_has(
        &wrong_after("[identity]\ndomain = \"https://id.shop.example\"\n"),
        &["cannot be the issuer's name"],
    );
    let google = "[identity.oidc.google]\nissuer = \"https://g.example\"\nclient_id = \"g\"\nclient_secret_file = \"s\"\n";
    assert_has(&wrong_after(google), &["google has a table of its own", "[identity.providers.google]"]);
    let taken = google.replace("oidc.google", "oidc.recovery");
    assert_has(&wrong_after(&taken), &["recovery means something else to the issuer"]);
    let work = "[identity.oidc.work]\nissuer = \"https://l.example\"\nclient_id = \"w\"\nclient_secret_file = \"s\"\n";
    let read = |more: &str| parse(&format!("{REAL}{work}{more}")).settings.identity.oidc.remove(0);
    let whole = read("hosts = [\"tokens.l.example\"]\nclient_secret_expires = 2027-06-01\n");
    assert_eq!(whole.hosts, ["tokens.l.example"]);
    assert_eq!(whole.client_secret_expires.map(|day| day.to_string()).as_deref(), Some("2027-06-01"));
    assert!(read("").hosts.is_empty());
    for host in ["https://tokens.l.example", "tokens.l.example:8443", "localhost"] {
        let hosts = format!("{work}hosts = [\"{host}\"]\n");
        assert_has(&wrong_after(&hosts), &["cannot be the name of a host"]);
    }
    let tenant =
        "[identity.providers.google]\nclient_id = \"g\"\nclient_secret_file = \"s\"\ntenant = \"t\"\n";
    assert_has(&wrong_after(tenant), &["unknown key `tenant`"]);
}

#[test]
fn keys_are_found_again() {
    let platform = parse(REAL);
    assert_eq!(platform.location("hosts.edge.public_address"), Some(Location { line: 8, column: 1 }));
    assert_eq!(platform.location("hosts.nobody"), None);
}

/// Whatever stands in a file, reading it ends in a platform or in problems, each of them inside the file.
#[test]
fn no_damage_to_a_file_is_fatal() {
    let whole = format!("{}{REAL}", lab_text());
    let check = |text: &str| {
        if let Err(errors) = Platform::parse(text, "platform.toml") {
            assert!(!errors.problems.is_empty(), "{text}");
            let last = text.lines().count().max(1) + 1;
            let lines = errors.problems.iter().filter_map(|problem| problem.excerpt.as_ref());
            assert!(lines.into_iter().all(|excerpt| (1..=last).contains(&excerpt.location.line)));
            assert!(!errors.to_string().is_empty());
        }
    };
    for at in (0..REAL.len()).filter(|at| REAL.is_char_boundary(*at)) {
        check(&REAL[..at]);
        check(&REAL[at..]);
        for inserted in ["\"", "[", "]", "=", "\n", "\u{0}", "é", "{", "9", "#"] {
            check(&format!("{}{inserted}{}", &REAL[..at], &REAL[at..]));
        }
    }
    check(&whole);
    check(&whole.replace('\n', "\r\n"));
}
