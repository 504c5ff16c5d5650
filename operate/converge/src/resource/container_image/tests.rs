use super::*;
use crate::resource::testing::in_namespaces;
use sha2::{Digest, Sha256};
use std::process::Command;

/// Runs the named test again in namespaces with an engine of its own.
fn in_namespace(test: &str) -> bool {
    in_namespaces(
        test,
        &["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"],
        || {
            let script = "mount -t tmpfs tmpfs /run; ip link set lo up; mkdir /run/d; \
            (dockerd --bridge=none --iptables=false --storage-driver=vfs --data-root /run/d/data \
             --exec-root /run/d/exec >/run/d/log 2>&1 &); \
            i=0; until docker version >/dev/null 2>&1; do i=$((i+1)); [ $i -lt 300 ] || { cat /run/d/log; exit 1; }; sleep 0.1; done";
            assert!(Command::new("sh").args(["-ec", script]).status().unwrap().success());
        },
    )
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An image with this text in it, made by the engine, saved and removed again.
fn image(text: &str) -> (ContainerImage, Vec<u8>) {
    let reference = format!("bastide/app:{text}");
    let id = sh(&format!(
        "cd $(mktemp -d); echo {text} > file; tar cf t.tar file; docker import t.tar {reference} >&2; \
         docker image inspect -f '{{{{.Id}}}}' {reference}; docker save {reference} > /run/{text}.tar; \
         docker rmi {reference} >&2"
    ));
    let archive = std::fs::read(format!("/run/{text}.tar")).unwrap();
    let sha256 = format!("{:x}", Sha256::digest(&archive));
    (ContainerImage { reference, id, manifest: String::new(), archive: sha256 }, archive)
}

fn host(archive: &[u8]) -> Host {
    let archive = archive.to_vec();
    Host::new(Box::new(move |_| Ok(archive.clone())))
}

#[test]
#[ignore = "needs root, Docker and namespaces"]
fn real_engine_loads_tags_and_forgets() {
    if !in_namespace("resource::container_image::tests::real_engine_loads_tags_and_forgets") {
        return;
    }
    let mut loaded = Vec::new();
    for text in ["one", "two", "three", "four", "five"] {
        let (image, archive) = image(text);
        let mut host = host(&archive);
        assert_eq!(image.observe(&mut host).unwrap().difference.unwrap().summary, "load");
        image.change(&mut host).unwrap();
        let observed = image.observe(&mut host).unwrap();
        assert_eq!(observed, Observed::same(image.id.clone()));
        if text == "one" {
            sh(&format!("docker create --name keeper {} /none", image.reference));
        }
        loaded.push((image, archive));
    }
    let left = sh("docker images --format '{{.Tag}}' | sort | tr '\\n' ' '");
    assert_eq!(left, "five four one three", "three, and what a container uses");

    let (five, archive) = &loaded[4];
    let mut host = host(archive);
    sh("docker tag bastide/app:four bastide/app:five");
    let difference = five.observe(&mut host).unwrap().difference.unwrap();
    assert_eq!(difference.summary, "another image has this reference");
    five.change(&mut host).unwrap();
    assert_eq!(five.observe(&mut host).unwrap().difference, None);

    let wrong = ContainerImage {
        id: format!("sha256:{:064}", 0),
        reference: "bastide/app:six".into(),
        ..five.clone()
    };
    assert!(wrong.change(&mut host).unwrap_err().to_string().contains("holds another image"));
    let mut broken = Host::new(Box::new(|_| Ok(b"no archive".to_vec())));
    assert!(wrong.change(&mut broken).is_err());
    let start = std::time::Instant::now();
    five.observe(&mut host).unwrap();
    println!("observing an image: {:?}", start.elapsed());
}
