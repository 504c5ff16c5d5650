use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::Path;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = parameters.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(parameters, key) }
}

/// A pair that is valid from `from` to `to` days from now.
fn certificate(authority: &Authority, names: &[&str], from: i64, to: i64) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names.clone()).unwrap();
    let at = |days: i64| time::OffsetDateTime::from_unix_timestamp(now() + days * DAY + 60).unwrap();
    (parameters.not_before, parameters.not_after) = (at(from), at(to));
    let key = KeyPair::generate().unwrap();
    Certificate {
        name: "db".into(),
        directory: "/etc/tls".into(),
        names,
        authority: authority.pem.clone(),
        certificate: parameters.signed_by(&key, &authority.issuer).unwrap().pem(),
        key: key.serialize_pem(),
        owner: "root".into(),
        group: "root".into(),
        key_mode: 0o600,
    }
}

fn fault(certificate: &Certificate) -> String {
    certificate.fault(&certificate.certificate, &certificate.key, now()).unwrap().unwrap_or_default()
}

#[test]
fn a_good_pair_will_do() {
    let ours = authority("ours");
    assert_eq!(fault(&certificate(&ours, &["db.internal", "10.0.0.4", "fd00::4"], -1, 89)), "");
}

#[test]
fn each_fault_is_named() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let good = certificate(&ours, &["db.internal", "10.0.0.4"], -1, 89);
    assert_eq!(fault(&certificate(&ours, &["db"], -80, 10)), "expires in 10 days");
    assert_eq!(fault(&certificate(&ours, &["db"], -95, -5)), "expired 4 days ago");
    assert!(fault(&certificate(&ours, &["db"], 1, 90)).starts_with("not valid yet"));
    let case = |change: &dyn Fn(&mut Certificate)| {
        let mut changed = good.clone();
        change(&mut changed);
        fault(&changed)
    };
    assert_eq!(case(&|c| c.names.push("cache".into())), "does not cover cache");
    assert_eq!(case(&|c| drop(c.names.pop())), "still covers 10.0.0.4");
    assert_eq!(case(&|c| c.authority = theirs.pem.clone()), "signed by another authority");
    assert_eq!(case(&|c| c.authority = authority("ours").pem), "signed by another authority");
    assert_eq!(
        case(&|c| c.key = KeyPair::generate().unwrap().serialize_pem()),
        "the key does not belong to the certificate"
    );
    assert_eq!(case(&|c| c.certificate.push_str(&ours.pem)), "its file holds more than the certificate");
    assert_eq!(case(&|c| c.certificate = "x".into()), "its file holds no certificate");
}

fn host(root: &Path) -> Host {
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    std::fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    std::fs::write(root.join("etc/shadow"), "").unwrap();
    Host::at(root, Box::new(|_| Err(ResourceError::Other("no blobs here".into()))))
}

#[test]
#[ignore = "needs root, to give files to root"]
fn installed_once_and_kept_while_it_will_do() {
    let root = tempfile::tempdir().unwrap();
    let mut host = host(root.path());
    let ours = authority("ours");
    let first = certificate(&ours, &["db"], -1, 89);
    assert!(first.observe(&mut host).unwrap().difference.is_some());
    first.change(&mut host).unwrap();
    let installed = first.observe(&mut host).unwrap();
    assert_eq!(installed.difference, None);

    // Every run brings a fresh pair; the old one stays, also when only the key's mode has to be put right.
    let second = Certificate { key_mode: 0o640, ..certificate(&ours, &["db"], -1, 89) };
    assert!(second.observe(&mut host).unwrap().difference.unwrap().summary.contains("key: "));
    second.change(&mut host).unwrap();
    assert_eq!(second.observe(&mut host).unwrap(), installed);

    let renamed = certificate(&ours, &["db", "db2"], -1, 89);
    assert!(renamed.observe(&mut host).unwrap().difference.unwrap().summary.contains("does not cover db2"));
    renamed.change(&mut host).unwrap();
    assert_eq!(std::fs::read_to_string(root.path().join("etc/tls/db.key")).unwrap(), renamed.key);

    let useless = certificate(&ours, &["db"], -80, 10);
    assert!(useless.change(&mut host).unwrap_err().to_string().contains("expires in 10 days"));
    assert_eq!(std::fs::read_to_string(root.path().join("etc/tls/db.key")).unwrap(), renamed.key);
}
