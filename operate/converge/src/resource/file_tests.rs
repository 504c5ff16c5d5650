use super::*;
use crate::resource::testing::Scratch;

fn file(content: &str) -> File {
    File::new("/etc/app/app.conf", content).owned_by("me", "us", 0o640)
}

#[test]
fn created_then_the_same() {
    let mut scratch = Scratch::new();
    let difference = file("a\nb\n").observe(&mut scratch.host).unwrap().difference.unwrap();
    assert_eq!(difference.summary, "create, me:us 0640");
    assert!(difference.lines.contains(&"+a".to_owned()), "{:?}", difference.lines);
    scratch.converge(&file("a\nb\n"));
    assert_eq!(scratch.read("/etc/app/app.conf"), "a\nb\n");
}

#[test]
fn edited_by_hand_shows_lines_and_mode() {
    let mut scratch = Scratch::new();
    scratch.converge(&file("a\nb\n"));
    scratch.write("/etc/app/app.conf", "a\nhand\n");
    let path = scratch.host.path("/etc/app/app.conf");
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let difference = file("a\nb\n").observe(&mut scratch.host).unwrap().difference.unwrap();
    assert_eq!(difference.summary, "content differs, mode 0600 → 0640");
    assert_eq!(difference.lines, ["@@ -1,2 +1,2 @@", " a", "-hand", "+b"]);
    scratch.converge(&file("a\nb\n"));
}

#[test]
fn only_the_mode_changes_in_place() {
    use std::os::unix::fs::MetadataExt;
    let mut scratch = Scratch::new();
    scratch.converge(&file("a\n"));
    let path = scratch.host.path("/etc/app/app.conf");
    let inode = std::fs::metadata(&path).unwrap().ino();
    let summary = scratch.converge(&file("a\n").owned_by("me", "us", 0o600));
    assert_eq!(summary, "mode 0640 → 0600");
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
}

#[test]
fn a_secret_is_never_shown_neither_old_nor_new() {
    let mut scratch = Scratch::new();
    let secret = |content: &str| file(content).sensitive();
    let created = secret("hunter2\n").observe(&mut scratch.host).unwrap().difference.unwrap();
    assert!(!format!("{created:?}").contains("hunter"));
    scratch.converge(&secret("hunter2\n"));
    let changed = secret("hunter3\n").observe(&mut scratch.host).unwrap().difference.unwrap();
    assert!(changed.summary.starts_with("content differs (sha256 "), "{}", changed.summary);
    assert!(!format!("{changed:?}").contains("hunter"));
}

#[test]
fn refused_content_leaves_the_old_file() {
    let mut scratch = Scratch::new();
    scratch.converge(&file("good\n"));
    let bad = file("bad\n").validated_by(&["sh", "-c", "grep -q good {} || { echo no good in {}; exit 1; }"]);
    let error = bad.change(&mut scratch.host).unwrap_err();
    assert!(matches!(error, ResourceError::Invalid { .. }), "{error}");
    assert!(error.to_string().contains("no good in /etc/app/app.conf"), "{error}");
    assert_eq!(scratch.read("/etc/app/app.conf"), "good\n");
    let error = bad.sensitive().change(&mut scratch.host).unwrap_err().to_string();
    assert!(error.ends_with("may quote the secrets in the file"), "{error}");
}

#[test]
fn a_link_is_replaced_itself() {
    let mut scratch = Scratch::new();
    scratch.write("/etc/app/target", "target\n");
    std::os::unix::fs::symlink("target", scratch.host.path("/etc/app/app.conf")).unwrap();
    assert!(scratch.converge(&file("mine\n")).contains("symbolic link to target"));
    assert_eq!(scratch.read("/etc/app/target"), "target\n");
}

#[test]
fn an_unknown_owner_is_a_difference_then_an_error() {
    let mut scratch = Scratch::new();
    scratch.converge(&file("a\n"));
    let other = file("a\n").owned_by("valkey", "us", 0o640);
    let difference = other.observe(&mut scratch.host).unwrap().difference.unwrap();
    assert_eq!(difference.summary, "owner me:us → valkey:us");
    let error = other.change(&mut scratch.host).unwrap_err().to_string();
    assert!(error.contains("no user `valkey`"), "{error}");
}

#[test]
fn a_directory_is_not_replaced() {
    let mut scratch = Scratch::new();
    scratch.write("/etc/app/app.conf/x", "");
    assert!(file("a\n").observe(&mut scratch.host).is_err());
}

#[test]
fn a_blob_travels_only_when_it_differs() {
    let bytes = b"\x7fELF\0".to_vec();
    let sha = sha256(&bytes);
    let mut scratch = Scratch::with_blobs(vec![bytes]);
    let blob = File { content: Content::Blob(sha.clone()), ..file("") };
    scratch.converge(&blob);
    let missing = File { content: Content::Blob("00".into()), ..blob };
    let difference = missing.observe(&mut scratch.host).unwrap().difference.unwrap();
    assert!(difference.lines.is_empty() && difference.summary.contains(&sha[..8]));
    assert!(missing.change(&mut scratch.host).is_err());
}

#[test]
fn a_leftover_is_told_and_taken_away() {
    let mut scratch = Scratch::new();
    scratch.converge(&file("a\n"));
    scratch.write("/etc/app/.bastide-new.app.conf", "half");
    assert!(scratch.converge(&file("a\n")).contains("interrupted"));
}
