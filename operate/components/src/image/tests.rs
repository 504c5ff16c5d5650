use std::io::Read;

use serde_json::Value;

use super::*;

fn spec() -> ImageSpec {
    let file =
        |path: &str, mode, bytes: &[u8]| ImageFile { path: path.to_owned(), mode, bytes: bytes.to_vec() };
    ImageSpec {
        name: "bastide/app".to_owned(),
        architecture: "amd64".to_owned(),
        files: vec![
            file("/app", 0o755, b"\x7fELF"),
            file("/etc/ssl/certs/ca-certificates.crt", 0o644, b"-----BEGIN CERTIFICATE-----\n"),
        ],
        entrypoint: vec!["/app".to_owned()],
        user: "10001:10001".to_owned(),
        env: BTreeMap::from([("RELEASE".to_owned(), "1".to_owned())]),
        labels: BTreeMap::from([("org.opencontainers.image.version".to_owned(), "0.1.0".to_owned())]),
    }
}

/// The entries of an archive: path, header and content.
fn entries(archive: &[u8]) -> Vec<(String, Header, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let (path, header) = (entry.path().unwrap().display().to_string(), entry.header().clone());
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (path, header, bytes)
        })
        .collect()
}

fn content(archive: &[u8], path: &str) -> Vec<u8> {
    let found = entries(archive).into_iter().find(|(name, ..)| name == path);
    found.unwrap_or_else(|| panic!("{path} is not in the archive")).2
}

fn json(archive: &[u8], path: &str) -> Value {
    serde_json::from_slice(&content(archive, path)).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn blob(archive: &[u8], digest: &str) -> Vec<u8> {
    let hash = digest.strip_prefix("sha256:").unwrap();
    let bytes = content(archive, &format!("blobs/sha256/{hash}"));
    assert_eq!(sha256(&bytes), hash, "a blob is not what its name says");
    bytes
}

fn layer_entries(image: &Image) -> Vec<(String, Header, Vec<u8>)> {
    let config: Value = serde_json::from_slice(&blob(&image.archive, &image.id)).unwrap();
    entries(&blob(&image.archive, config["rootfs"]["diff_ids"][0].as_str().unwrap()))
}

#[test]
fn the_same_files_give_the_same_bytes_in_any_order() {
    let image = assemble(&spec()).unwrap();
    let mut reversed = spec();
    reversed.files.reverse();
    assert_eq!(assemble(&reversed).unwrap(), image);
}

#[test]
fn the_bytes_do_not_change_from_one_build_to_the_next() {
    // If this fails although the format was changed on purpose, every host will be sent its image again: say so.
    let image = assemble(&spec()).unwrap();
    assert_eq!(image.reference, "bastide/app:8bf485cca37a");
    assert_eq!(sha256(&image.archive), "9841adf885fc0120243048722b78742dca43f28be77ac53651609d705987c02d");
}

#[test]
fn every_change_inside_changes_the_reference() {
    let original = assemble(&spec()).unwrap().reference;
    let changes: [fn(&mut ImageSpec); 6] = [
        |spec| spec.files[0].bytes.push(0),
        |spec| spec.files[0].mode = 0o555,
        |spec| spec.user = "10002:10001".to_owned(),
        |spec| spec.entrypoint.push("serve".to_owned()),
        |spec| spec.env.clear(),
        |spec| spec.labels.clear(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = spec();
        change(&mut changed);
        assert_ne!(assemble(&changed).unwrap().reference, original, "change {number}");
    }
}

#[test]
fn both_descriptions_name_the_same_image() {
    let image = assemble(&spec()).unwrap();
    let archive = &image.archive;
    assert_eq!(image.reference, format!("bastide/app:{}", &image.id["sha256:".len()..][..12]));

    let legacy = &json(archive, "manifest.json")[0];
    assert_eq!(legacy["RepoTags"][0], image.reference);
    let legacy_config = content(archive, legacy["Config"].as_str().unwrap());
    assert_eq!(format!("sha256:{}", sha256(&legacy_config)), image.id);

    assert_eq!(json(archive, "oci-layout")["imageLayoutVersion"], "1.0.0");
    let described = &json(archive, "index.json")["manifests"][0];
    assert_eq!(described["digest"], image.manifest);
    assert_eq!(
        described["annotations"]["io.containerd.image.name"],
        format!("docker.io/{}", image.reference)
    );
    let manifest = blob(archive, &image.manifest);
    assert_eq!(described["size"], manifest.len());
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["config"]["digest"], image.id);
    let layer = blob(archive, manifest["layers"][0]["digest"].as_str().unwrap());
    assert_eq!(manifest["layers"][0]["size"], layer.len());
    assert_eq!(content(archive, legacy["Layers"][0].as_str().unwrap()), layer);
}

#[test]
fn the_configuration_says_how_to_run() {
    let image = assemble(&spec()).unwrap();
    let config: Value = serde_json::from_slice(&blob(&image.archive, &image.id)).unwrap();
    assert_eq!(config["created"], "1970-01-01T00:00:00Z");
    assert_eq!((&config["os"], &config["architecture"]), (&"linux".into(), &"amd64".into()));
    let run = &config["config"];
    assert_eq!(run["User"], "10001:10001");
    assert_eq!(run["Entrypoint"][0], "/app");
    assert_eq!(run["Env"][0], "RELEASE=1");
    assert_eq!(run["Labels"]["org.opencontainers.image.version"], "0.1.0");
}

#[test]
fn the_layer_has_what_a_static_binary_needs_and_nothing_of_this_machine() {
    let listed = layer_entries(&assemble(&spec()).unwrap());
    let paths: Vec<(&str, u32)> =
        listed.iter().map(|(path, header, _)| (path.as_str(), header.mode().unwrap())).collect();
    assert_eq!(
        paths,
        [
            ("etc/", 0o755),
            ("etc/ssl/", 0o755),
            ("etc/ssl/certs/", 0o755),
            ("tmp/", 0o1777),
            ("app", 0o755),
            ("etc/group", 0o644),
            ("etc/passwd", 0o644),
            ("etc/ssl/certs/ca-certificates.crt", 0o644),
        ]
    );
    for (path, header, _) in &listed {
        let owner = (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
        assert_eq!(owner, (0, 0, 0), "{path}");
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")), "{path}");
    }
    let passwd = &listed.iter().find(|(path, ..)| path == "etc/passwd").unwrap().2;
    assert!(String::from_utf8_lossy(passwd).contains("app:x:10001:10001:"));
}

#[test]
fn what_is_given_is_not_overwritten() {
    let mut spec = spec();
    let path = "/etc/passwd".to_owned();
    spec.files.push(ImageFile { path, mode: 0o600, bytes: b"mine".to_vec() });
    let listed = layer_entries(&assemble(&spec).unwrap());
    let passwd: Vec<_> = listed.iter().filter(|(path, ..)| path == "etc/passwd").collect();
    assert_eq!((passwd.len(), passwd[0].2.as_slice()), (1, b"mine".as_slice()));
}

#[test]
fn what_cannot_be_an_image_is_refused() {
    let refused = |change: fn(&mut ImageSpec)| {
        let mut changed = spec();
        change(&mut changed);
        assemble(&changed).unwrap_err().to_string()
    };
    let add = |spec: &mut ImageSpec, path: &str| {
        spec.files.push(ImageFile { path: path.to_owned(), mode: 0o644, bytes: Vec::new() });
    };
    assert!(refused(|spec| spec.name = "Bastide/App".to_owned()).contains("repository name"));
    assert!(refused(|spec| spec.name = "bastide//app".to_owned()).contains("repository name"));
    for user in ["0:0", "10001", "app:app", "10001:0"] {
        let mut changed = spec();
        changed.user = user.to_owned();
        assert!(matches!(assemble(&changed), Err(ImageError::User(_))), "{user}");
    }
    assert!(refused(|spec| spec.entrypoint.clear()).contains("entry point"));
    assert!(refused(|spec| spec.files[0].mode = 0o644).contains("executable"));
    assert!(refused(|spec| spec.entrypoint[0] = "/other".to_owned()).contains("/other"));
    assert!(refused(|spec| drop(spec.env.insert("A=B".to_owned(), String::new()))).contains("A=B"));
    for path in ["relative", "/a/../b", "/a//b", "/a/", "/", ""] {
        let mut changed = spec();
        add(&mut changed, path);
        assert!(matches!(assemble(&changed), Err(ImageError::Path(_))), "{path:?}");
    }
    for path in ["/app", "/app/inside", "/etc/ssl"] {
        let mut changed = spec();
        add(&mut changed, path);
        assert!(matches!(assemble(&changed), Err(ImageError::Conflict(_))), "{path:?}");
    }
}
