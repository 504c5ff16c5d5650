//! Secrets at rest: AES-256-GCM under a key that is in a file and not in the database.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::clock::Randomness;

/// The keys by their ids. The first one seals; the others open what was sealed before. They can follow each other while they
/// are used.
pub struct KeyRing(RwLock<Arc<Keys>>);

/// The keys of a file.
struct Keys {
    current: String,
    keys: BTreeMap<String, LessSafeKey>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.keys().keys.keys()).finish()
    }
}

/// What is sealed, and with which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key's id.
    pub key_id: String,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// Why nothing could be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file of keys is not as expected.
    #[error("reading the keys of sealed secrets: line {0} is not `id:base64 of 32 bytes`")]
    BadKey(usize),
    /// There is no key.
    #[error("reading the keys of sealed secrets: there is none; write one line `id:base64 of 32 bytes`")]
    NoKey,
    /// What was sealed with this key cannot be opened without it.
    #[error("opening a sealed secret: there is no key {0:?}; put it back into the file of keys")]
    UnknownKey(String),
    /// Somebody changed it, or it belongs to something else.
    #[error("opening a sealed secret: it is not what was sealed")]
    Forged,
}

impl Keys {
    fn parse(text: &str) -> Result<Self, SealError> {
        let mut current = None;
        let mut keys = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let bad = || SealError::BadKey(number + 1);
            let (id, encoded) = line.trim().split_once(':').ok_or_else(bad)?;
            let bytes = STANDARD.decode(encoded).map_err(|_| bad())?;
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| bad())?;
            keys.insert(id.to_owned(), LessSafeKey::new(key));
            current.get_or_insert_with(|| id.to_owned());
        }
        Ok(Self { current: current.ok_or(SealError::NoKey)?, keys })
    }
}

impl KeyRing {
    /// From the content of the file: a line a key, `id:base64`, the one that seals first.
    ///
    /// # Errors
    /// [`SealError::BadKey`] and [`SealError::NoKey`].
    pub fn parse(text: &str) -> Result<Self, SealError> {
        Ok(Self(RwLock::new(Arc::new(Keys::parse(text)?))))
    }

    /// Opens with the keys of a file that has changed, and seals as before: so that all processes can open with a new key
    /// before the first one seals with it. Where the key that sealed is gone from the file, the first one seals at once.
    ///
    /// # Errors
    /// As [`KeyRing::parse`]; the keys then stay as they were.
    pub fn learn(&self, text: &str) -> Result<(), SealError> {
        let mut keys = Keys::parse(text)?;
        let before = self.keys();
        if keys.keys.contains_key(&before.current) {
            keys.current.clone_from(&before.current);
        }
        self.put(keys);
        Ok(())
    }

    /// Opens with the keys of a file, and seals with its first one.
    ///
    /// # Errors
    /// As [`KeyRing::parse`]; the keys then stay as they were.
    pub fn settle(&self, text: &str) -> Result<(), SealError> {
        self.put(Keys::parse(text)?);
        Ok(())
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, keys: Keys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Seals a secret of `owner`; it opens for nobody else.
    ///
    /// # Errors
    /// None that can come from a secret of this length.
    pub fn seal(
        &self,
        secret: &[u8],
        owner: &[u8],
        randomness: &dyn Randomness,
    ) -> Result<Sealed, SealError> {
        let keys = self.keys();
        let unknown = || SealError::UnknownKey(keys.current.clone());
        let key = keys.keys.get(&keys.current).ok_or_else(unknown)?;
        let mut nonce = [0; NONCE_LEN];
        randomness.fill(&mut nonce);
        let mut sealed = secret.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut sealed)
            .map_err(|_| SealError::Forged)?;
        let bytes = [&nonce[..], &sealed].concat();
        Ok(Sealed { key_id: keys.current.clone(), bytes })
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`] and [`SealError::Forged`].
    pub fn open(&self, sealed: &Sealed, owner: &[u8]) -> Result<Vec<u8>, SealError> {
        let keys = self.keys();
        let unknown = || SealError::UnknownKey(sealed.key_id.clone());
        let key = keys.keys.get(&sealed.key_id).ok_or_else(unknown)?;
        let (nonce, bytes) = sealed.bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Forged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Forged)?;
        let mut bytes = bytes.to_vec();
        let opened = key.open_in_place(nonce, Aad::from(owner), &mut bytes).map_err(|_| SealError::Forged)?;
        Ok(opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::CountingRandomness;

    fn line(id: &str, byte: u8) -> String {
        format!("{id}:{}\n", STANDARD.encode([byte; 32]))
    }

    #[test]
    fn opens_for_its_owner_also_after_the_key_changed() {
        let old = KeyRing::parse(&line("old", 1)).unwrap();
        let sealed = old.seal(b"secret", b"endpoint 1", &CountingRandomness::default()).unwrap();
        assert!(!sealed.bytes.windows(6).any(|window| window == b"secret"));
        let both = KeyRing::parse(&(line("new", 2) + &line("old", 1))).unwrap();
        assert_eq!(both.open(&sealed, b"endpoint 1").unwrap(), b"secret");
        assert_eq!(both.seal(b"s", b"", &CountingRandomness::default()).unwrap().key_id, "new");
        assert!(matches!(both.open(&sealed, b"endpoint 2"), Err(SealError::Forged)));
        let without = KeyRing::parse(&line("new", 2)).unwrap();
        assert!(matches!(without.open(&sealed, b"endpoint 1"), Err(SealError::UnknownKey(_))));
        let mut changed = sealed;
        *changed.bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(both.open(&changed, b"endpoint 1"), Err(SealError::Forged)));
    }

    #[test]
    fn keys_follow_each_other_while_they_are_used() {
        let ring = KeyRing::parse(&line("old", 1)).unwrap();
        let seals = || ring.seal(b"s", b"", &CountingRandomness::default()).unwrap();
        let before = seals();
        let both = line("new", 2) + &line("old", 1);
        ring.learn(&both).unwrap();
        assert_eq!(seals().key_id, "old", "others do not know the new one yet");
        let others = KeyRing::parse(&both).unwrap();
        others.settle(&both).unwrap();
        let new = others.seal(b"s", b"", &CountingRandomness::default()).unwrap();
        assert_eq!((new.key_id.as_str(), ring.open(&new, b"").unwrap()), ("new", b"s".to_vec()));
        ring.settle(&both).unwrap();
        assert_eq!((seals().key_id.as_str(), ring.open(&before, b"").unwrap()), ("new", b"s".to_vec()));
        assert!(ring.learn("nonsense").is_err() && ring.settle("").is_err());
        assert_eq!(seals().key_id, "new", "a bad file changes nothing");
        ring.learn(&line("third", 3)).unwrap();
        assert_eq!(seals().key_id, "third", "the one that sealed is gone");
    }

    #[test]
    fn bad_files_of_keys_are_refused() {
        assert!(matches!(KeyRing::parse("\n"), Err(SealError::NoKey)));
        assert!(matches!(KeyRing::parse("a:c2hvcnQ="), Err(SealError::BadKey(1))));
        assert!(matches!(KeyRing::parse(&(line("a", 1) + "b")), Err(SealError::BadKey(2))));
    }
}
