use super::*;
use x509_parser::prelude::{FromDer, X509Certificate};

const NOW: i64 = 1_795_000_000;

fn secrets() -> (tempfile::TempDir, Secrets) {
    let parent = tempfile::tempdir().unwrap();
    let secrets = Secrets::open(&parent.path().join("secrets")).unwrap();
    (parent, secrets)
}

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

fn certificates(bundle: &str) -> usize {
    bundle.matches("BEGIN CERTIFICATE").count()
}

fn signed_by(leaf: &str, authority: &str) -> bool {
    let (leaf, authority) = (der(leaf), der(authority));
    let leaf = X509Certificate::from_der(&leaf).unwrap().1;
    let authority = X509Certificate::from_der(&authority).unwrap().1;
    leaf.issuer() == authority.subject() && leaf.verify_signature(Some(authority.public_key())).is_ok()
}

#[test]
fn signs_for_names_and_addresses() {
    let (_keep, secrets) = secrets();
    let authority = Authority::open(&secrets, NOW).unwrap();
    let leaf = authority.issue(&["db.internal".into(), "10.0.0.30".into()], LEAF_LIFETIME, NOW).unwrap();
    assert!(signed_by(&leaf.certificate, authority.certificate()));
    let der = der(&leaf.certificate);
    let parsed = X509Certificate::from_der(&der).unwrap().1;
    assert_eq!(parsed.validity().not_after.timestamp(), NOW + 90 * DAY);
    let names = parsed.subject_alternative_name().unwrap().unwrap().value.general_names.len();
    assert_eq!(names, 2);
    assert!(!parsed.is_ca());
}

#[test]
fn the_next_run_has_the_same_authority() {
    let (_keep, secrets) = secrets();
    let first = Authority::open(&secrets, NOW).unwrap().trust_bundle();
    let again = Authority::open(&secrets, NOW + DAY).unwrap().trust_bundle();
    assert_eq!(first, again);
    assert_eq!(certificates(&first), 1);
}

#[test]
fn a_successor_is_trusted_before_it_signs() {
    let (_keep, secrets) = secrets();
    let old = Authority::open(&secrets, NOW).unwrap().certificate().to_owned();

    let late = NOW + AUTHORITY_LIFETIME * 3 / 4;
    let renewing = Authority::open(&secrets, late).unwrap();
    assert_eq!(renewing.certificate(), old);
    assert_eq!(certificates(&renewing.trust_bundle()), 2);
    let again = Authority::open(&secrets, late + DAY).unwrap();
    assert_eq!(again.trust_bundle(), renewing.trust_bundle());

    let renewed = Authority::open(&secrets, late + 8 * DAY).unwrap();
    assert_ne!(renewed.certificate(), old);
    assert!(renewing.trust_bundle().contains(renewed.certificate()));
    assert!(renewed.trust_bundle().contains(&old));
    let leaf = renewed.issue(&["db.internal".into()], LEAF_LIFETIME, late + 8 * DAY).unwrap();
    assert!(signed_by(&leaf.certificate, renewed.certificate()));
    assert!(!signed_by(&leaf.certificate, &old));

    let after = Authority::open(&secrets, NOW + AUTHORITY_LIFETIME + DAY).unwrap();
    assert_eq!(certificates(&after.trust_bundle()), 1, "an expired predecessor is trusted no longer");
}

#[test]
fn an_expired_authority_is_replaced_at_once() {
    let (_keep, secrets) = secrets();
    let old = Authority::open(&secrets, NOW).unwrap().certificate().to_owned();
    let later = NOW + AUTHORITY_LIFETIME + DAY;
    let authority = Authority::open(&secrets, later).unwrap();
    assert_ne!(authority.certificate(), old);
    assert_eq!(certificates(&authority.trust_bundle()), 1);
}

#[test]
fn a_damaged_authority_is_refused_with_the_way_out() {
    let (_keep, secrets) = secrets();
    Authority::open(&secrets, NOW).unwrap();
    let path = Slot::Current.file(secrets.directory());
    let whole = std::fs::read_to_string(&path).unwrap();
    for damaged in ["hello", split(&whole).0] {
        secrets::replace(&path, damaged.as_bytes()).unwrap();
        let error = Authority::open(&secrets, NOW).unwrap_err().to_string();
        assert!(error.contains("authority.pem") && error.contains("remove it"), "{error}");
    }
}
