//! What hosts are sent beside files: the application's image, assembled here without a container engine, and the issuer's
//! program.

use anyhow::{Context, Result};
use bastide_components::image::{ImageFile, ImageSpec, assemble};
use bastide_components::{AppImage, Program};
use bastide_converge::run::Blobs;
use bastide_platform::{Broker, Platform};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Makes the image of the application's binary.
pub fn app_image(platform: &Platform) -> Result<(AppImage, Blobs)> {
    let path = match &platform.settings.app.binary {
        Some(binary) => platform.resolve(binary),
        None => beside_this_program("app")?,
    };
    let binary = std::fs::read(&path).with_context(|| {
        format!(
            "read the application's binary at {}: build it with `cargo build --release -p app`, or name another one \
             with `binary` under [app]",
            path.display()
        )
    })?;
    let image = assemble(&ImageSpec {
        name: "bastide/app".to_owned(),
        files: vec![ImageFile { path: "/app".to_owned(), mode: 0o755, bytes: binary }],
        entrypoint: vec!["/app".to_owned()],
        user: "10001:10001".to_owned(),
        architecture: architecture(),
        env: BTreeMap::new(),
        labels: BTreeMap::from([("org.opencontainers.image.title".to_owned(), "bastide/app".to_owned())]),
    })?;
    let archive = sha256(&image.archive);
    let blobs = Blobs::from([(archive.clone(), Arc::new(image.archive))]);
    Ok((AppImage { reference: image.reference, id: image.id, archive }, blobs))
}

/// The issuer's program, or the one that sets Authentik up; its bytes are put among `blobs`. None where the platform has
/// no issuer.
pub fn issuer_program(platform: &Platform, blobs: &mut Blobs) -> Result<Option<Program>> {
    let Some(_) = platform.issuer_host() else { return Ok(None) };
    let identity = &platform.settings.identity;
    let (name, named) = match identity.broker {
        Broker::Bastide => ("identity", identity.binary.as_ref()),
        Broker::Authentik => ("bastide-authentik", None),
    };
    let path = match named {
        Some(binary) => platform.resolve(binary),
        None => beside_this_program(name)?,
    };
    let binary = std::fs::read(&path).with_context(|| {
        format!(
            "read the issuer's program at {}: build it with `cargo build --release -p {name}`",
            path.display()
        )
    })?;
    let sha256 = sha256(&binary);
    blobs.insert(sha256.clone(), Arc::new(binary));
    Ok(Some(Program { sha256 }))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn beside_this_program(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?;
    Ok(program.with_file_name(name))
}

/// The processor in the notation of container images; hosts have the same one as this program.
fn architecture() -> String {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}
