use super::*;
use crate::{Platform, Severity, lint};
use std::path::Path;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS o'p\"s";

fn answers() -> Answers {
    let network = answer::private_network("10.0.0.0/24").unwrap();
    Answers {
        name: answer::name("shop").unwrap(),
        domain: answer::domain("Shop.example").unwrap(),
        os: answer::operating_system("ubuntu-26.04").unwrap(),
        private_network: network,
        public_address: answer::public_address("198.51.100.10").unwrap(),
        private: Privates::of(network).unwrap(),
        login: answer::login("admin").unwrap(),
        operator_addresses: vec![answer::operator_network("192.0.2.7").unwrap()],
        operator_keys: vec![answer::public_key(KEY).unwrap()],
        cdn: CdnAnswer::Cloudflare { origin_pull_authority: "origin-pulls.pem".into() },
        email: Some(answer::email("ops@shop.example").unwrap()),
    }
}

fn parse(text: &str) -> Platform {
    Platform::parse(text, "platform.toml").unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

#[test]
fn a_rendered_file_reads_back_and_is_clean() {
    let plain = Answers { cdn: CdnAnswer::None, email: None, ..answers() };
    let many = Answers {
        operator_addresses: vec!["192.0.2.0/24".parse().unwrap(), "198.51.100.200/32".parse().unwrap()],
        operator_keys: vec![KEY.to_owned(), KEY.to_owned()],
        ..answers()
    };
    for os in crate::OperatingSystem::ALL {
        for answers in [answers(), plain.clone(), many.clone()] {
            let platform = parse(&render(&Answers { os, ..answers.clone() }));
            // What a release cannot do better is worth knowing and no mistake of the file.
            let mistakes: Vec<_> =
                lint(&platform).into_iter().filter(|finding| finding.severity > Severity::Note).collect();
            assert_eq!(mistakes, [], "{os}");
            assert_eq!(platform.domain, "shop.example");
            assert_eq!(platform.settings.operator.keys, answers.operator_keys);
            assert_eq!(platform.settings.operator.addresses, answers.operator_addresses);
            assert_eq!(platform.host("db").unwrap().address, answers.private.db);
            assert_eq!(platform.host("db").unwrap().ssh.user, "admin");
        }
    }
}

#[test]
fn a_lab_reads_back_in_every_quarter() {
    for quarter in ["198.51.100.0/26", "198.51.100.64/26", "198.51.100.128/26", "198.51.100.192/26"] {
        let text = render_lab("bastide-ci", quarter.parse().unwrap(), "ci.bastide.test");
        let platform = parse(&text);
        assert_eq!(lint(&platform), []);
        assert_eq!((platform.name.as_str(), platform.domain.as_str()), ("bastide-ci", "ci.bastide.test"));
        assert_eq!(platform.settings.lab.unwrap().network.to_string(), quarter);
    }
}

#[test]
fn the_repository_s_platform_has_no_errors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../platform.toml");
    let platform = Platform::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    let errors: Vec<_> =
        lint(&platform).into_iter().filter(|found| found.severity == Severity::Error).collect();
    assert_eq!(errors, []);
}

#[test]
fn wrong_answers_say_what_is_expected() {
    let network = "10.0.0.0/24".parse().unwrap();
    let taken = ["10.0.0.10".parse().unwrap()];
    let wrong = [
        (answer::name("My Shop").map(drop), "such as shop"),
        (answer::domain("https://shop.example").map(drop), "without a scheme"),
        (answer::domain("shop").map(drop), "with a dot"),
        (answer::operating_system("centos").map(drop), "one of debian-14"),
        (answer::private_network("8.8.8.0/24").map(drop), "10.0.0.0/24"),
        (answer::private_network("10.0.0.1/24").map(drop), "10.0.0.0/24"),
        (answer::host_address("10.0.1.1", network, &taken).map(drop), "outside"),
        (answer::host_address("10.0.0.10", network, &taken).map(drop), "another host has"),
        (answer::host_address("10.0.0.255", network, &taken).map(drop), "cannot be a host's"),
        (answer::public_address("10.0.0.1").map(drop), "not reachable"),
        (answer::public_address("one").map(drop), "no IPv4 address"),
        (answer::operator_network("home").map(drop), "192.0.2.7"),
        (answer::public_key("id_ed25519").map(drop), "id_ed25519.pub"),
        (answer::login("Admin!").map(drop), "root, or a user"),
        (answer::cdn("fastly").map(drop), "cloudflare or none"),
        (answer::email("ops").map(drop), "ops@example.com"),
    ];
    for (result, expected) in wrong {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
    assert!(answer::host_address("10.0.0.11", network, &taken).is_ok());
    assert_eq!(Privates::of("10.0.0.0/27".parse().unwrap()), None);
}

#[test]
fn cloud_init_for_a_user_with_sudo() {
    let platform = parse(&render(&answers()));
    assert_eq!(
        cloud_init(&platform, platform.host("db").unwrap()),
        "#cloud-config
# db of shop: makes the server reachable; `bastide up` does the rest.
# Operating system: ubuntu-26.04
# Attach it to the private network 10.0.0.0/24 with the address 10.0.0.30.
# Give it no public address: it is reached, and reaches out, through the edge.
hostname: db
fqdn: db.shop.example
ssh_pwauth: false
disable_root: true
users:
  - name: admin
    shell: /bin/bash
    sudo: 'ALL=(ALL) NOPASSWD:ALL'
    lock_passwd: true
    ssh_authorized_keys:
      - 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS o''p\"s'
"
    );
}

#[test]
fn cloud_init_for_root_on_another_port() {
    let text = render(&Answers { login: "root".into(), ..answers() });
    let platform = parse(&text.replace("user = \"root\"", "user = \"root\"\nport = 2222"));
    let data = cloud_init(&platform, platform.edge());
    assert!(data.contains("disable_root: false\nusers:\n  - name: root\n    lock_passwd: true\n"), "{data}");
    assert!(data.contains("only server with a public address: 198.51.100.10"), "{data}");
    assert!(data.contains("content: 'Port 2222'"), "{data}");
}

/// Every TOML block of the page that describes the file is a whole platform.
#[test]
fn the_page_of_the_platform_file_shows_what_parses() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/platform-file.md");
    let page = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let platform = parse(block);
        assert_eq!(lint(&platform), [], "{block}");
    }
}
