//! A container image out of files, without a container engine.
//!
//! The archive is an OCI image layout that also carries the older `manifest.json`, as `docker save` writes it, so that
//! `docker load` takes it with either of the engine's image stores. The same files give the same bytes: nothing of
//! the time, the machine or the order in which files were named enters it. Hence the tag says what is inside, and a
//! host that has the tag has the image.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// Everything has this time, which is also how registries recognise reproducible images.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// Enough of the hash to tell images of one application apart by eye and by machine.
const TAG_LENGTH: usize = 12;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct ImageSpec {
    /// Repository without tag, for example `bastide/app`.
    pub name: String,
    /// The processor's name in image terms: `amd64` or `arm64`.
    pub architecture: String,
    /// The files; the directories they need are made. `/tmp`, `/etc/passwd` and `/etc/group` are added where missing.
    pub files: Vec<ImageFile>,
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Numeric user and group, `10001:10001`. Never 0.
    pub user: String,
    /// Default environment. Nothing secret: whoever has the image can read it.
    pub env: BTreeMap<String, String>,
    /// Labels, for example `org.opencontainers.image.version`.
    pub labels: BTreeMap<String, String>,
}

/// One file of an image, owned by root.
#[derive(Clone, Debug)]
pub struct ImageFile {
    /// Absolute path in the image.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub bytes: Vec<u8>,
}

/// An image that `docker load` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `name:tag`; the tag is the beginning of [`Image::id`].
    pub reference: String,
    /// `sha256:` and the digest of the configuration, which covers every byte inside. The engine's id of the image in
    /// its own store.
    pub id: String,
    /// `sha256:` and the digest of the manifest: the engine's id of the image in containerd's store.
    pub manifest: String,
    /// The archive for `docker load`, uncompressed.
    pub archive: Vec<u8>,
}

/// Why an image cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The repository's name is not one.
    #[error(
        "assembling the image {0:?}: not a repository name; use lower-case letters, digits, '.', '_', '-' between '/'"
    )]
    Name(String),
    /// The user is missing, has a name instead of a number, or is root.
    #[error("assembling the image: user {0:?} is not two positive numbers as in 10001:10001")]
    User(String),
    /// A path that is relative, leads out of the image, or is not in its shortest form.
    #[error("assembling the image: {0:?} is not an absolute path in its shortest form")]
    Path(String),
    /// Two files at one path, or a file where another file needs a directory.
    #[error("assembling the image: {0} is there twice, or is both a file and a directory")]
    Conflict(String),
    /// There is nothing to run, or what is to run is not in the image.
    #[error("assembling the image: the entry point {0:?} is not an executable file of the image")]
    Entrypoint(String),
    /// An environment variable without a name, or with one that cannot be written.
    #[error("assembling the image: {0:?} is not the name of an environment variable")]
    Variable(String),
    /// The archive could not be written.
    #[error("assembling the image: writing the archive: {0}")]
    Archive(#[from] io::Error),
    /// A document could not be written.
    #[error("assembling the image: writing its description: {0}")]
    Description(#[from] serde_json::Error),
}

/// Assembles an image. The same specification gives the same bytes, in whatever order its files are.
pub fn assemble(spec: &ImageSpec) -> Result<Image, ImageError> {
    check(spec)?;
    let layer = Blob::new(LAYER, layer(spec)?);
    let config = Blob::new(CONFIG, config(spec, &layer)?);
    let manifest = Blob::new(
        MANIFEST,
        serde_json::to_vec(&Manifest {
            schema_version: 2,
            media_type: MANIFEST,
            config: config.descriptor(),
            layers: [layer.descriptor()],
        })?,
    );
    let tag = &config.hash[..TAG_LENGTH];
    let reference = format!("{}:{tag}", spec.name);
    let archive = archive(&reference, tag, &layer, &config, &manifest)?;
    Ok(Image { reference, id: config.digest(), manifest: manifest.digest(), archive })
}

/// Bytes that are named by their hash.
struct Blob {
    media_type: &'static str,
    hash: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { media_type, hash, bytes }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.hash)
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.hash)
    }

    fn descriptor(&self) -> Descriptor {
        let (digest, size) = (self.digest(), self.bytes.len());
        Descriptor { media_type: self.media_type, digest, size, annotations: BTreeMap::new() }
    }
}

fn check(spec: &ImageSpec) -> Result<(), ImageError> {
    let component = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !part.is_empty()
            && part.bytes().all(|byte| inner(byte) || matches!(byte, b'.' | b'_' | b'-'))
            && part.bytes().next().is_some_and(inner)
            && part.bytes().next_back().is_some_and(inner)
    };
    if !spec.name.split('/').all(component) {
        return Err(ImageError::Name(spec.name.clone()));
    }
    ids(&spec.user)?;
    let program = spec.entrypoint.first().cloned().unwrap_or_default();
    if !spec.files.iter().any(|file| file.path == program && file.mode & 0o111 != 0) {
        return Err(ImageError::Entrypoint(program));
    }
    match spec.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        Some(name) => Err(ImageError::Variable(name.clone())),
        None => Ok(()),
    }
}

fn ids(user: &str) -> Result<(u32, u32), ImageError> {
    user.split_once(':')
        .and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)))
        .filter(|(user, group)| *user > 0 && *group > 0)
        .ok_or_else(|| ImageError::User(user.to_owned()))
}

/// The one layer: directories before what is in them, both in the order of their paths.
fn layer(spec: &ImageSpec) -> Result<Vec<u8>, ImageError> {
    let (user, group) = ids(&spec.user)?;
    let passwd = format!("root:x:0:0:root:/:/sbin/nologin\napp:x:{user}:{group}:app:/tmp:/sbin/nologin\n");
    let groups = format!("root:x:0:\napp:x:{group}:\n");

    let mut files: BTreeMap<&str, (u32, &[u8])> = BTreeMap::new();
    for file in &spec.files {
        if files.insert(inner_path(&file.path)?, (file.mode & 0o7777, &file.bytes)).is_some() {
            return Err(ImageError::Conflict(file.path.clone()));
        }
    }
    files.entry("etc/passwd").or_insert((0o644, passwd.as_bytes()));
    files.entry("etc/group").or_insert((0o644, groups.as_bytes()));

    let mut directories = BTreeSet::from(["tmp"]);
    for path in files.keys() {
        directories.extend(path.match_indices('/').map(|(end, _)| &path[..end]));
    }
    if let Some(path) = directories.iter().find(|path| files.contains_key(**path)) {
        return Err(ImageError::Conflict(format!("/{path}")));
    }

    let mut tar = Builder::new(Vec::new());
    for path in directories {
        let mode = if path == "tmp" { 0o1777 } else { 0o755 };
        append(&mut tar, EntryType::Directory, &format!("{path}/"), mode, &[])?;
    }
    for (path, (mode, bytes)) in files {
        append(&mut tar, EntryType::Regular, path, mode, bytes)?;
    }
    Ok(tar.into_inner()?)
}

/// The path as it stands in the layer, without its leading slash.
fn inner_path(path: &str) -> Result<&str, ImageError> {
    let inner = path.strip_prefix('/').unwrap_or_default();
    if inner.split('/').any(|part| matches!(part, "" | "." | "..")) || inner.contains('\0') {
        return Err(ImageError::Path(path.to_owned()));
    }
    Ok(inner)
}

/// One entry with nothing in its header that depends on when or where it was written.
fn append(
    tar: &mut Builder<Vec<u8>>,
    kind: EntryType,
    path: &str,
    mode: u32,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
}

fn config(spec: &ImageSpec, layer: &Blob) -> Result<Vec<u8>, ImageError> {
    let config = Config {
        created: CREATED,
        architecture: &spec.architecture,
        os: "linux",
        config: RunConfig {
            user: &spec.user,
            env: spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            entrypoint: &spec.entrypoint,
            working_dir: "/",
            labels: &spec.labels,
        },
        rootfs: RootFs { kind: "layers", diff_ids: [layer.digest()] },
        history: [History { created: CREATED, created_by: "bastide" }],
    };
    Ok(serde_json::to_vec(&config)?)
}

fn archive(
    reference: &str,
    tag: &str,
    layer: &Blob,
    config: &Blob,
    manifest: &Blob,
) -> Result<Vec<u8>, ImageError> {
    let mut described = manifest.descriptor();
    described.annotations = BTreeMap::from([
        ("io.containerd.image.name", format!("docker.io/{reference}")),
        ("org.opencontainers.image.ref.name", tag.to_owned()),
    ]);
    let index = serde_json::to_vec(&Index { schema_version: 2, media_type: INDEX, manifests: [described] })?;
    let legacy = serde_json::to_vec(&[Legacy {
        config: config.path(),
        repo_tags: [reference],
        layers: [layer.path()],
    }])?;

    let mut tar = Builder::new(Vec::with_capacity(layer.bytes.len() + 64 * 1024));
    append(&mut tar, EntryType::Directory, "blobs/", 0o755, &[])?;
    append(&mut tar, EntryType::Directory, "blobs/sha256/", 0o755, &[])?;
    for blob in [layer, config, manifest] {
        append(&mut tar, EntryType::Regular, &blob.path(), 0o644, &blob.bytes)?;
    }
    append(&mut tar, EntryType::Regular, "index.json", 0o644, &index)?;
    append(&mut tar, EntryType::Regular, "manifest.json", 0o644, &legacy)?;
    append(&mut tar, EntryType::Regular, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(tar.into_inner()?)
}

// The documents of the OCI image specification. They are structures, not JSON values, because their bytes are hashed:
// the order of members is the order of fields.

#[derive(Serialize)]
struct Config<'a> {
    created: &'a str,
    architecture: &'a str,
    os: &'a str,
    config: RunConfig<'a>,
    rootfs: RootFs<'a>,
    history: [History<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RunConfig<'a> {
    user: &'a str,
    env: Vec<String>,
    entrypoint: &'a [String],
    working_dir: &'a str,
    labels: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct RootFs<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    diff_ids: [String; 1],
}

#[derive(Serialize)]
struct History<'a> {
    created: &'a str,
    created_by: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: [Descriptor; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: [Descriptor; 1],
}

/// What `docker load` reads with the engine's own image store.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Legacy<'a> {
    config: String,
    repo_tags: [&'a str; 1],
    layers: [String; 1],
}

#[cfg(test)]
mod tests;
