//! The keys that seal follow each other without a restart: their file is read again every now and then, and at once when the
//! process is told to (SIGHUP). What was sealed with a key is opened for as long as its line stays in the file.
//!
//! A new key opens as soon as it is read, and seals once every process has had the time to read it: otherwise one would seal
//! a browser's cookie that another cannot open yet.

use std::path::Path;
use std::time::Duration;

use foundation::seal::{KeyRing, SealError};
use tokio::signal::unix::Signal;
use tokio::time::Instant;

use crate::secret::{self, Hash};

/// How often the file is looked at.
const LOOKS: Duration = Duration::from_secs(5);
/// How long a key opens before it seals: longer than any process takes to look.
const AHEAD: Duration = Duration::from_secs(12);

/// Why the file was not followed.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("reading the keys of sealed secrets: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error(transparent)]
    Keys(#[from] SealError),
}

/// What is known of the file.
#[derive(Debug, Default)]
struct Follower {
    /// What it was when it was looked at last.
    seen: Option<Hash>,
    /// When its first key seals, if that is still to come.
    settles_at: Option<Instant>,
}

impl Follower {
    /// Looks at the file, and does what follows by now.
    fn look(&mut self, keys: &KeyRing, path: &Path, now: Instant) -> Result<(), FollowError> {
        let text = std::fs::read_to_string(path)?;
        let hash = secret::hash(&text);
        if self.seen.replace(hash) != Some(hash) {
            self.settles_at = None;
            keys.learn(&text)?;
            self.settles_at = Some(now + AHEAD);
        } else if self.settles_at.is_some_and(|at| at <= now) {
            self.settles_at = None;
            keys.settle(&text)?;
            tracing::info!(?keys, "secrets are sealed with the first key of the file");
        }
        Ok(())
    }
}

/// Follows the file of keys. Never ends.
pub async fn keep(keys: &KeyRing, path: &Path, mut told: Signal) {
    let mut follower = Follower::default();
    loop {
        if let Err(error) = follower.look(keys, path, Instant::now()) {
            tracing::error!(%error, "the keys of sealed secrets stay as they were");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOKS) => {}
            _ = told.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foundation::clock::SystemRandomness;

    fn line(id: u8) -> String {
        format!("{id}:{}=\n", char::from(b'A' + id).to_string().repeat(42) + "A")
    }

    #[tokio::test]
    async fn a_key_opens_before_it_seals_and_a_bad_file_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let ring = KeyRing::parse(&line(1)).unwrap();
        let seals = || ring.seal(b"s", b"", &SystemRandomness).unwrap().key_id;
        let (mut follower, now) = (Follower::default(), Instant::now());
        let mut look = |text: &str, seconds: u64| {
            std::fs::write(&path, text).unwrap();
            follower.look(&ring, &path, now + Duration::from_secs(seconds))
        };
        look(&line(1), 0).unwrap();
        let both = line(2) + &line(1);
        look(&both, 5).unwrap();
        assert_eq!((seals().as_str(), format!("{ring:?}").as_str()), ("1", "{\"1\", \"2\"}"));
        look(&both, 16).unwrap();
        assert_eq!(seals(), "1");
        look(&both, 17).unwrap();
        assert_eq!(seals(), "2");
        assert!(look("nonsense", 18).is_err());
        look("nonsense", 60).unwrap();
        assert_eq!(seals(), "2", "it is complained of once");
        std::fs::remove_file(&path).unwrap();
        assert!(follower.look(&ring, &path, now).is_err());
    }
}
