//! An issuer of OpenID Connect on the lab's internet: what it takes to sign people in, checked as a real one does.

use super::caller;
use super::world::{Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// The application's name here, and its secret: nothing that a URL takes as it is.
pub const CLIENT_ID: &str = "the application";
pub const CLIENT_SECRET: &str = "a secret+that & needs %-encoding";
/// What a person adds to the question that the application sent them here with: who they are.
pub const PERSON: &str = "person";

/// What was asked for, by the code that it was answered with.
type Asked = BTreeMap<String, BTreeMap<String, String>>;

/// The address of a person.
pub fn email(person: &str) -> String {
    format!("{person}@example.test")
}

/// The issuer.
pub struct Issuer {
    /// Its name, which is where it is.
    pub name: String,
    key: EcdsaKeyPair,
    asked: Mutex<Asked>,
}

impl Issuer {
    pub fn new(name: String) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { name, key, asked: Mutex::default() }
    }

    /// Answers what is asked of an issuer.
    pub fn answer(&self, request: &Request) -> Option<Response> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let document = match (request.method.as_str(), path) {
            ("GET", "/.well-known/openid-configuration") => self.description(),
            ("GET", "/keys") => json!({"keys": [self.public_key()]}),
            ("GET", "/authorize") => return Some(self.authorize(fields(query))),
            ("POST", "/token") => match self.redeem(request) {
                Some(token) => json!({"access_token": "unused", "token_type": "Bearer", "id_token": token}),
                None => return Some((400, json_type(), json!({"error": "invalid_grant"}).to_string())),
            },
            _ => return None,
        };
        Some((200, json_type(), document.to_string()))
    }

    fn description(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.name);
        json!({"issuer": self.name, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
               "jwks_uri": at("/keys"), "authorization_response_iss_parameter_supported": true})
    }

    fn public_key(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": x, "y": y})
    }

    fn authorize(&self, asked: BTreeMap<String, String>) -> Response {
        let of = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let fits = of("response_type") == "code"
            && of("client_id") == CLIENT_ID
            && of("redirect_uri") == caller::url("/sign-in/callback")
            && of("code_challenge_method") == "S256"
            && of("scope").split(' ').any(|scope| scope == "openid");
        if !fits {
            return (400, vec![], format!("not as registered: {asked:?}"));
        }
        let code = super::seed::uuid();
        let back = format!("{}?code={code}&state={}&iss={}", of("redirect_uri"), of("state"), self.name);
        self.asked.lock().unwrap().insert(code, asked);
        (303, vec![("location", back)], String::new())
    }

    /// The ID token for a code: of this client, once, and only for who can show what the challenge was made of.
    fn redeem(&self, request: &Request) -> Option<String> {
        let encoded =
            |text: &str| text.replace('%', "%25").replace('+', "%2B").replace('&', "%26").replace(' ', "+");
        let pair = STANDARD.encode(format!("{}:{}", encoded(CLIENT_ID), encoded(CLIENT_SECRET)));
        let sent = fields(&request.body);
        let asked = self.asked.lock().unwrap().remove(sent.get("code")?)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(sent.get("code_verifier")?));
        let fits = request.header("authorization") == format!("Basic {pair}")
            && sent.get("grant_type")? == "authorization_code"
            && sent.get("redirect_uri") == asked.get("redirect_uri")
            && asked.get("code_challenge")? == &challenge;
        let (person, nonce) = (asked.get(PERSON)?, asked.get("nonce")?);
        fits.then(|| self.token(person, nonce))
    }

    fn token(&self, person: &str, nonce: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"iss": self.name, "aud": CLIENT_ID, "sub": person, "nonce": nonce, "iat": now,
                            "exp": now + 300, "email": email(person), "email_verified": true, "name": person});
        let header = json!({"alg": "ES256", "kid": "1"});
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn json_type() -> Vec<(&'static str, String)> {
    vec![("content-type", "application/json".to_owned())]
}

/// The fields of a form or query.
fn fields(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}
