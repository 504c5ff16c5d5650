//! A login provider's keys. Microsoft says of each whose tokens alone it signs: the key for private people vouches for nobody
//! of a company.

use foundation::jwt::{JwtError, KeySet, Published};
use jsonwebtoken::Header;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A login provider's keys, by whose tokens they sign.
#[derive(Debug)]
pub struct Keys(Vec<(Option<String>, KeySet)>);

/// The keys as they are published.
#[derive(Deserialize)]
pub struct PublishedKeys {
    keys: Vec<Value>,
}

impl Keys {
    /// Those that can be used.
    pub fn of(published: PublishedKeys) -> Self {
        let mut groups: Vec<(Option<String>, Vec<Value>)> = Vec::new();
        for key in published.keys {
            let issuer = key.get("issuer").and_then(Value::as_str).map(ToOwned::to_owned);
            match groups.iter_mut().find(|(known, _)| *known == issuer) {
                Some((_, keys)) => keys.push(key),
                None => groups.push((issuer, vec![key])),
            }
        }
        let set = |keys: Vec<Value>| {
            serde_json::from_value::<Published>(json!({"keys": keys})).ok().map(KeySet::of)
        };
        Self(groups.into_iter().filter_map(|(issuer, keys)| Some((issuer, set(keys)?))).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(_, keys)| keys.len()).sum()
    }

    /// What a token says that one of them has signed, and whose tokens alone that key signs, if it was said.
    pub fn verify<T: DeserializeOwned>(&self, token: &str) -> Result<(Header, T, Option<&str>), JwtError> {
        for (issuer, keys) in &self.0 {
            match keys.verify(token) {
                Ok((header, claims)) => return Ok((header, claims, issuer.as_deref())),
                Err(JwtError::NotSigned) => {}
                Err(error) => return Err(error),
            }
        }
        Err(JwtError::NotSigned)
    }
}
