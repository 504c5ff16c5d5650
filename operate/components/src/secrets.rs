//! The operator's secrets.
//!
//! One directory on the operator's machine, readable by its owner alone. It holds one random seed from which every
//! password is derived, and the platform's certificate authority. Losing it loses nothing for good: the next run
//! makes new secrets and a new authority and puts them everywhere.

use crate::scram;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SecureRandom;
use ring::{hkdf, rand};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Characters of a derived password.
const PASSWORD_LENGTH: usize = 32;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const SEED_LENGTH: usize = 32;

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text; whoever calls this keeps it out of argument lists, logs and plans.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The operator's secrets could not be read or made.
#[derive(Debug, thiserror::Error)]
#[error("{attempted} at {}: {reason}", path.display())]
pub struct SecretsError {
    /// What was attempted.
    pub attempted: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why it failed, and what to do.
    pub reason: String,
}

impl SecretsError {
    pub(crate) fn new(attempted: &'static str, path: &Path, reason: impl std::fmt::Display) -> Self {
        Self { attempted, path: path.to_owned(), reason: reason.to_string() }
    }
}

/// The operator's secrets.
#[derive(Debug)]
pub struct Secrets {
    directory: PathBuf,
    seed: Seed,
    /// How often each password was rotated; a name that is not in it never was.
    epochs: BTreeMap<String, u32>,
}

/// The seed, never printed.
#[derive(Clone)]
struct Seed([u8; SEED_LENGTH]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl Secrets {
    /// Opens the secrets in `directory` and makes what is missing.
    ///
    /// # Errors
    /// When the directory or a file in it belongs to somebody else or can be read by others, or cannot be read or
    /// written.
    pub fn open(directory: &Path) -> Result<Self, SecretsError> {
        let attempted = "open the operator's secrets";
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| SecretsError::new(attempted, directory, error))?;
        refuse_others(directory, 0o700)?;
        let _lock = lock(directory)?;
        let seed = read_seed(directory)?;
        let epochs = read_epochs(directory)?;
        Ok(Self { directory: directory.to_owned(), seed, epochs })
    }

    /// Where the secrets are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The password named `name`, the same for every run: 32 random characters of `[A-Za-z0-9]`.
    pub fn password(&self, name: &str) -> Secret {
        self.password_of(name, self.epoch(name))
    }

    /// Keys that seal what is kept in a database, for a file that a program reads: `id:base64 of 32 bytes` a line, the one
    /// that seals first, and below it every one before, so that what they sealed can be opened.
    pub fn sealing_keys(&self, name: &str) -> Secret {
        let line = |epoch: u32| {
            format!("{}:{}\n", epoch + 1, STANDARD.encode(self.password_of(name, epoch).reveal()))
        };
        Secret((0..=self.epoch(name)).rev().map(line).collect())
    }

    /// How often the password named `name` was rotated.
    fn epoch(&self, name: &str) -> u32 {
        self.epochs.get(name).copied().unwrap_or_default()
    }

    fn password_of(&self, name: &str, epoch: u32) -> Secret {
        let mut password = String::with_capacity(PASSWORD_LENGTH);
        let mut block = 0u32;
        while password.len() < PASSWORD_LENGTH {
            let bytes: [u8; 64] = self.derive("password", name, epoch, block);
            // Bytes beyond the last whole multiple of 62 are dropped, so that every character is equally likely.
            let even = bytes.iter().filter(|byte| usize::from(**byte) < ALPHABET.len() * 4);
            let characters = even.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
            password.extend(characters.take(PASSWORD_LENGTH - password.len()));
            block += 1;
        }
        Secret(password)
    }

    /// PostgreSQL's verifier of the password named `name` (`SCRAM-SHA-256$…`), the same for every run.
    ///
    /// It lets a server check the password without holding it.
    pub fn verifier(&self, name: &str) -> String {
        let salt: [u8; 16] = self.derive("salt", name, self.epoch(name), 0);
        scram::verifier(self.password(name).reveal(), &salt)
    }

    /// Gives the password named `name` a new value; the next `apply` puts it everywhere it is used.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn rotate(&mut self, name: &str) -> Result<(), SecretsError> {
        let _lock = lock(&self.directory)?;
        self.epochs = read_epochs(&self.directory)?;
        *self.epochs.entry(name.to_owned()).or_default() += 1;
        let lines: String = self.epochs.iter().map(|(name, epoch)| format!("{epoch} {name}\n")).collect();
        replace(&self.directory.join("epochs"), lines.as_bytes())
    }

    /// Bytes that only the holder of the seed can compute, different for every purpose, name and epoch.
    fn derive<const N: usize>(&self, purpose: &str, name: &str, epoch: u32, block: u32) -> [u8; N] {
        struct Length(usize);
        impl hkdf::KeyType for Length {
            fn len(&self) -> usize {
                self.0
            }
        }
        let numbers = [epoch.to_be_bytes(), block.to_be_bytes()].concat();
        let info = [b"bastide", purpose.as_bytes(), &numbers, name.as_bytes()];
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, b"bastide secrets 1").extract(&self.seed.0);
        let mut output = [0; N];
        key.expand(&info, Length(N))
            .and_then(|expanded| expanded.fill(&mut output))
            .expect("HKDF-SHA256 gives up to 8160 bytes");
        output
    }
}

/// Holds the directory against other runs until the returned file is dropped.
pub(crate) fn lock(directory: &Path) -> Result<File, SecretsError> {
    let path = directory.join("lock");
    let failed = |error: io::Error| SecretsError::new("lock the operator's secrets", &path, error);
    let file = private().create(true).truncate(false).open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// Reads a file that must be its owner's alone; none where there is no such file.
pub(crate) fn read_private(path: &Path) -> Result<Option<Vec<u8>>, SecretsError> {
    let failed = |error: io::Error| SecretsError::new("read a secret", path, error);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    refuse_others(path, 0o600)?;
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(failed)?;
    Ok(Some(content))
}

/// The secret in a file that the operator wrote: one line, in a file that nobody else can read.
///
/// # Errors
/// When there is no such file, others can read it, or it holds something else than one line of text.
pub(crate) fn written_by_operator(path: &Path) -> Result<Secret, SecretsError> {
    let failed = |reason: &str| SecretsError::new("read a secret", path, reason);
    let bytes = read_private(path)?.ok_or_else(|| {
        failed("there is no such file; write the secret into it, and run `chmod 0600` on it")
    })?;
    let text = String::from_utf8(bytes).map_err(|_| failed("it holds something else than text"))?;
    match text.trim() {
        "" => Err(failed("it is empty; write the secret into it")),
        secret if secret.contains(char::is_control) => {
            Err(failed("it holds more than one line; leave the secret alone in it"))
        }
        secret => Ok(Secret::new(secret)),
    }
}

/// The text of a file of several lines that the operator wrote, such as a key in PEM, and that nobody else can read.
///
/// # Errors
/// When there is no such file, others can read it, or it holds something else than text.
pub(crate) fn document_of_operator(path: &Path) -> Result<Secret, SecretsError> {
    let failed = |reason: &str| SecretsError::new("read a secret", path, reason);
    let bytes = read_private(path)?
        .ok_or_else(|| failed("there is no such file; put it there, and run `chmod 0600` on it"))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("it holds something else than text"))?;
    if text.trim().is_empty() { Err(failed("it is empty")) } else { Ok(Secret::new(text)) }
}

/// Writes a file that only its owner can read: whole or not at all.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), SecretsError> {
    let failed = |error: io::Error| SecretsError::new("write a secret", path, error);
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    temporary.write_all(content).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(path).map_err(|error| failed(error.error))?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn refuse_others(path: &Path, wanted: u32) -> Result<(), SecretsError> {
    let attempted = "make sure that nobody else reads the operator's secrets";
    let metadata = std::fs::metadata(path).map_err(|error| SecretsError::new(attempted, path, error))?;
    let mode = metadata.mode() & 0o777;
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        let reason =
            format!("it belongs to user {} and not to {own}; run `chown {own}` on it", metadata.uid());
        return Err(SecretsError::new(attempted, path, reason));
    }
    if mode & 0o077 != 0 {
        let reason = format!("others may open it (mode {mode:04o}); run `chmod {wanted:04o}` on it");
        return Err(SecretsError::new(attempted, path, reason));
    }
    Ok(())
}

fn read_seed(directory: &Path) -> Result<Seed, SecretsError> {
    let path = directory.join("seed");
    if let Some(bytes) = read_private(&path)? {
        let length = bytes.len();
        return <[u8; SEED_LENGTH]>::try_from(bytes).map(Seed).map_err(|_| {
            let reason = format!(
                "it has {length} bytes and not {SEED_LENGTH}; restore it, or remove it to give every password a new value"
            );
            SecretsError::new("read the seed of the passwords", &path, reason)
        });
    }
    let mut seed = [0; SEED_LENGTH];
    rand::SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| SecretsError::new("make a seed", &path, "the system gave no randomness"))?;
    replace(&path, &seed)?;
    Ok(Seed(seed))
}

fn read_epochs(directory: &Path) -> Result<BTreeMap<String, u32>, SecretsError> {
    let path = directory.join("epochs");
    let content = read_private(&path)?.unwrap_or_default();
    let entry = |line: &str| {
        let (epoch, name) = line.split_once(' ')?;
        Some((name.to_owned(), epoch.parse().ok()?))
    };
    String::from_utf8_lossy(&content)
        .lines()
        .map(|line| {
            let reason = || format!("`{line}` is not an epoch and a name; restore the file from a backup");
            entry(line).ok_or_else(|| SecretsError::new("read which passwords were rotated", &path, reason()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{ALPHABET, Secrets};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn makes_a_private_directory_and_gives_the_same_passwords_again() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("secrets");
        let first = Secrets::open(&directory).unwrap();
        assert_eq!((mode(&directory), mode(&directory.join("seed"))), (0o700, 0o600));
        let again = Secrets::open(&directory).unwrap();
        assert_eq!(first.password("app"), again.password("app"));
        assert_eq!(first.verifier("app"), again.verifier("app"));
        assert_ne!(first.password("app"), first.password("migrations"));
    }

    #[test]
    fn passwords_use_the_whole_alphabet_evenly() {
        let parent = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(&parent.path().join("secrets")).unwrap();
        let mut counts = [0u32; 62];
        for number in 0..2_000 {
            let password = secrets.password(&number.to_string());
            assert_eq!(password.reveal().len(), 32);
            for byte in password.reveal().bytes() {
                counts[ALPHABET.iter().position(|known| *known == byte).unwrap()] += 1;
            }
        }
        // 64,000 characters, 1,032 expected of each; eight standard deviations are 255.
        assert!(counts.iter().all(|count| (777..1287).contains(count)), "{counts:?}");
    }

    #[test]
    fn rotation_changes_one_password_and_survives() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("secrets");
        let mut secrets = Secrets::open(&directory).unwrap();
        let (before, other) = (secrets.password("app"), secrets.password("other"));
        secrets.rotate("app").unwrap();
        assert_ne!(secrets.password("app"), before);
        assert_eq!(secrets.password("other"), other);
        assert_eq!(Secrets::open(&directory).unwrap().password("app"), secrets.password("app"));
    }

    #[test]
    fn what_a_key_sealed_can_be_opened_after_its_rotation() {
        let parent = tempfile::tempdir().unwrap();
        let mut secrets = Secrets::open(&parent.path().join("secrets")).unwrap();
        let before = secrets.sealing_keys("app/sealing-key");
        assert!(before.reveal().starts_with("1:") && before.reveal().lines().count() == 1);
        secrets.rotate("app/sealing-key").unwrap();
        let after = secrets.sealing_keys("app/sealing-key");
        let lines: Vec<&str> = after.reveal().lines().collect();
        assert!(lines[0].starts_with("2:") && lines[1] == before.reveal().trim_end(), "the new one seals");
        assert_ne!(lines[0][2..], lines[1][2..]);
    }

    #[test]
    fn refuses_what_others_can_read() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("secrets");
        Secrets::open(&directory).unwrap();
        std::fs::set_permissions(directory.join("seed"), PermissionsExt::from_mode(0o644)).unwrap();
        let error = Secrets::open(&directory).unwrap_err().to_string();
        assert!(error.contains("chmod 0600"), "{error}");
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).unwrap();
        let error = Secrets::open(&directory).unwrap_err().to_string();
        assert!(error.contains("chmod 0700"), "{error}");
    }

    #[test]
    fn what_the_operator_wrote_is_one_line_that_nobody_else_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let read = || super::written_by_operator(&path).map_err(|error| error.to_string());
        assert!(read().unwrap_err().contains("no such file"));
        for (content, said) in [("", "empty"), (" \n", "empty"), ("a\nb\n", "more than one line")] {
            super::replace(&path, content.as_bytes()).unwrap();
            assert!(read().unwrap_err().contains(said), "{content:?}");
        }
        super::replace(&path, b"s3cret words\n").unwrap();
        assert_eq!(read().unwrap().reveal(), "s3cret words");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(read().unwrap_err().contains("chmod 0600"));
    }

    #[test]
    fn refuses_a_damaged_seed() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("secrets");
        Secrets::open(&directory).unwrap();
        super::replace(&directory.join("seed"), b"short").unwrap();
        let error = Secrets::open(&directory).unwrap_err().to_string();
        assert!(error.contains("5 bytes"), "{error}");
    }

    #[test]
    fn nothing_secret_is_printed() {
        let parent = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(&parent.path().join("secrets")).unwrap();
        let password = secrets.password("app");
        assert!(!format!("{password:?}").contains(password.reveal()));
        assert!(format!("{secrets:?}").contains("Seed(…)"));
    }
}
