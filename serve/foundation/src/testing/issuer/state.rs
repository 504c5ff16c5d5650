//! What the issuer knows: its keys, who comes next, and the codes that were not redeemed yet.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::keys::{Key, encoded};
use super::{CLIENT_ID, CLIENT_SECRET, Fault, Identity};
use crate::clock::{Clock as _, Randomness as _, SystemClock, SystemRandomness};

/// What the issuer's answers share.
pub(super) struct Shared {
    name: String,
    pub(super) redirect_uri: String,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(name: String, redirect_uri: &str) -> Self {
        let state = State { issuer: name.clone(), ..State::default() };
        Self { name, redirect_uri: redirect_uri.to_owned(), state: Mutex::new(state) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A code that was handed out.
pub(super) struct Code {
    pub(super) identity: Identity,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
    pub(super) redirect_uri: String,
}

pub(super) struct State {
    issuer: String,
    /// The last one signs; all are published.
    keys: Vec<Key>,
    pub(super) awaited: Option<Identity>,
    pub(super) fault: Option<Fault>,
    pub(super) codes: HashMap<String, Code>,
    sessions: Vec<(String, String)>,
    pub(super) asked: HashMap<String, usize>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            keys: vec![Key::new("key-1".to_owned())],
            awaited: None,
            fault: None,
            codes: HashMap::new(),
            sessions: Vec::new(),
            asked: HashMap::new(),
        }
    }
}

impl State {
    pub(super) fn key(&self) -> &Key {
        self.keys.last().unwrap()
    }

    pub(super) fn rotate(&mut self) {
        self.keys.push(Key::new(format!("key-{}", self.keys.len() + 1)));
    }

    pub(super) fn published(&self) -> Value {
        json!({"keys": self.keys.iter().map(Key::published).collect::<Vec<_>>()})
    }

    pub(super) fn sessions_of(&self, subject: &str) -> Vec<String> {
        self.sessions.iter().filter(|(owner, _)| owner == subject).map(|(_, sid)| sid.clone()).collect()
    }

    /// The ID token for a code, with whatever is to be wrong about it.
    pub(super) fn id_token(&mut self, code: &Code) -> String {
        let now = SystemClock.now().unix_timestamp();
        let sid = random();
        self.sessions.push((code.identity.subject.clone(), sid.clone()));
        let Identity { subject, name, email } = &code.identity;
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "sub": subject, "sid": sid, "iat": now, "exp": now + 300,
            "name": name, "email": email, "email_verified": true, "nonce": code.nonce
        });
        let (wrong, value) = match self.fault {
            Some(Fault::WrongNonce) => ("nonce", json!(random())),
            Some(Fault::WrongAudience) => ("aud", json!("another app")),
            Some(Fault::WrongIssuer) => ("iss", json!("https://issuer.example")),
            Some(Fault::Expired) => ("exp", json!(now - 61)),
            _ => ("iat", json!(now)),
        };
        claims[wrong] = value;
        let key = self.key();
        match self.fault {
            Some(Fault::NoAlgorithm) => Key::unsigned_token(&claims),
            Some(Fault::SignedWithSecret) => key.hmac_token(CLIENT_SECRET.as_bytes(), &claims),
            Some(Fault::SignedWithPublicKey) => key.hmac_token(key.public(), &claims),
            Some(Fault::UnknownKey) => Key::new("unpublished".to_owned()).token(&json!({}), &claims),
            Some(Fault::ForgedKey) => Key::new(key.id.clone()).token(&json!({}), &claims),
            _ => key.token(&json!({}), &claims),
        }
    }

    pub(super) fn logout_claims(&self, members: &Value) -> Value {
        let now = SystemClock.now().unix_timestamp();
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": random(),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}}
        });
        let all: &mut Map<String, Value> = claims.as_object_mut().unwrap();
        all.extend(members.as_object().unwrap().clone());
        all.retain(|_, value| !value.is_null());
        claims
    }
}

/// What nobody can guess.
pub(super) fn random() -> String {
    let mut bytes = [0; 24];
    SystemRandomness.fill(&mut bytes);
    encoded(&bytes)
}

/// The S256 challenge of a verifier.
pub(super) fn challenge(verifier: &str) -> String {
    encoded(digest(&SHA256, verifier.as_bytes()).as_ref())
}
