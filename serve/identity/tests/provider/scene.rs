//! An issuer with clients, somebody who is signed in, and the steps that clients take.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use foundation::clock::{Clock as _, Randomness as _, SystemClock, SystemRandomness};
use foundation::jwt::KeySet;
use foundation::testing::program::Answer;
use foundation::testing::servers::Servers;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use crate::support::stage::{CLIENT_SECRET, ISSUER, Stage};

/// Where the client `app` gets its answers.
pub const BACK: &str = "https://app.example.test/callback";
/// Where it wants people to go who are signed out.
pub const BYE: &str = "https://app.example.test/bye";
/// A verifier and its challenge (RFC 7636, appendix B).
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The issuer, and the key of the client that signs.
pub struct Scene {
    pub stage: Stage,
    pub key: EcdsaKeyPair,
}

/// Somebody who is signed in.
pub struct Person {
    pub account: Uuid,
    pub session: Uuid,
    pub cookie: String,
}

/// Clients of every kind.
pub fn clients(servers: &Servers, key: &EcdsaKeyPair, told_at: &str) -> String {
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let set =
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "use": "sig" }] });
    std::fs::write(servers.path("signer.json"), set.to_string()).unwrap();
    let file = |name: &str| servers.path(name).display().to_string();
    let (secret, keys) = (file("client-secret"), file("signer.json"));
    format!(
        r#"
        [[client]]
        id = "app"
        name = "The App"
        secret_file = "{secret}"
        redirect_uris = ["{BACK}", "https://app.example.test/other?tenant=1"]
        post_logout_redirect_uris = ["{BYE}"]
        back_channel_logout_uri = "{told_at}"
        scopes = ["openid", "email", "profile", "offline_access"]
        upstream_tokens = true
        [[client]]
        id = "other"
        secret_file = "{secret}"
        redirect_uris = ["https://other.example.test/callback"]
        post_logout_redirect_uris = ["https://other.example.test/bye"]
        back_channel_logout_uri = "https://other.example.test/back-channel-logout"
        [[client]]
        id = "old"
        secret_file = "{secret}"
        redirect_uris = ["https://old.example.test/callback"]
        pkce = "optional"
        algorithm = "RS256"
        scopes = ["openid", "email", "profile", "offline_access"]
        [[client]]
        id = "signer"
        keys_file = "{keys}"
        redirect_uris = ["https://signer.example.test/callback"]
        "#
    )
}

/// Login providers that nobody is sent to.
fn providers(servers: &Servers) -> String {
    let secret = servers.path("client-secret");
    let one =
        |kind: &str| format!("[[provider]]\nkind = {kind:?}\nclient_id = \"g\"\nsecret_file = {secret:?}\n");
    one("google") + &one("github")
}

impl Scene {
    pub async fn new() -> Self {
        Self::telling("https://app.example.test/back-channel-logout").await
    }

    /// The client `app` is told here that a session has ended.
    pub async fn telling(told_at: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let stage = Stage::new(|servers| clients(servers, &key, told_at) + &providers(servers)).await;
        Self { stage, key }
    }

    pub fn sql(&self, statement: &str) -> String {
        self.stage.servers.sql(statement, "app")
    }

    /// Somebody with an account and a session of it.
    pub fn person(&self) -> Person {
        let account = id();
        self.sql(&format!(
            "INSERT INTO accounts (id, email, email_vouched, given_name, family_name, created_at, updated_at) \
             VALUES ('{account}', 'ada-{account}@example.test', true, 'Ada', 'Lovelace', now(), now())"
        ));
        self.sign_in(account)
    }

    /// Another browser of an account.
    pub fn sign_in(&self, account: Uuid) -> Person {
        let (session, secret) = (id(), secret());
        let hash: String = sha256(&secret).iter().map(|byte| format!("{byte:02x}")).collect();
        self.sql(&format!(
            "INSERT INTO browser_sessions (id, secret_hash, account_id, provider, authenticated_at, last_seen_at, \
             expires_at, address) VALUES ('{session}', '\\x{hash}', '{account}', 'google', now(), now(), \
             now() + interval '1 hour', '192.0.2.1')"
        ));
        Person { account, session, cookie: format!("__Host-session={secret}") }
    }

    /// `GET /authorize` with these parameters, by the person's browser or by nobody's.
    pub async fn authorize(&self, person: Option<&Person>, parameters: &[(&str, &str)]) -> Answer {
        let path = format!("/authorize?{}", encoded(parameters));
        let headers: Vec<_> = person.iter().map(|person| ("cookie", person.cookie.as_str())).collect();
        self.stage.issuer.ask(Method::GET, &path, &headers).await
    }

    /// A code for the client `app`.
    pub async fn code(&self, person: &Person, changes: &[(&str, &str)]) -> String {
        returned(&self.authorize(Some(person), &good(changes)).await, "code")
    }

    /// Posts a form as a client that proves itself by the header.
    pub async fn post_as(&self, client: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let header = basic(client, CLIENT_SECRET);
        self.post(path, &[("authorization", &header)], fields).await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
        let headers = [headers, &[FORM]].concat();
        self.stage.issuer.send(Method::POST, path, &headers, &encoded(fields)).await
    }

    /// Redeems a code of `app`, with these changes.
    pub async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Answer {
        self.post_as("app", "/token", &redemption(code, changes)).await
    }

    /// Tokens of `app` for the person.
    pub async fn tokens(&self, person: &Person, changes: &[(&str, &str)]) -> Value {
        let code = self.code(person, changes).await;
        let answer = self.redeem(&code, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// What a token says, if a key that is published has signed it.
    pub async fn verified(&self, token: &str) -> Option<(String, Value)> {
        let published = self.stage.issuer.get("/keys").await;
        let keys = KeySet::of(serde_json::from_str(&published.text).unwrap());
        let (header, claims) = keys.verify::<Value>(token).ok()?;
        Some((header.kid.unwrap(), claims))
    }

    pub async fn userinfo(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.stage.issuer.ask(Method::GET, "/userinfo", &[("authorization", &bearer)]).await
    }

    /// An assertion of the client `signer`, with these changes.
    pub fn assertion(&self, changes: &Value) -> String {
        let sign = |message: &[u8]| self.key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
        jwt(&json!({ "alg": "ES256" }), &assertion_claims(changes), sign)
    }

    /// The audit log's events of an action: results and reasons.
    pub fn audited(&self, action: &str) -> String {
        self.sql(&format!(
            "SELECT result || ' ' || coalesce(changes->'reason'->>1, '') FROM audit_events WHERE action = '{action}' \
             ORDER BY position, id"
        ))
    }
}

/// The claims of an assertion of the client `signer`, with these changes.
pub fn assertion_claims(changes: &Value) -> Value {
    let now = SystemClock.now().unix_timestamp();
    let mut claims = json!({
        "iss": "signer", "sub": "signer", "aud": format!("{ISSUER}/token"), "iat": now, "exp": now + 60, "jti": secret()
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// A token with this header and these claims, signed as `sign` does.
pub fn jwt(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A good request of `app`, with these changes; a parameter that becomes nothing is left out.
pub fn good<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let pairs = vec![
        ("client_id", "app"),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("state", "the state"),
        ("nonce", "the nonce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    changed(pairs, changes)
}

/// A good redemption of a code of `app`.
pub fn redemption<'a>(code: &'a str, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ];
    changed(pairs, changes)
}

fn changed<'a>(
    mut pairs: Vec<(&'a str, &'a str)>,
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    for change in changes {
        match pairs.iter_mut().find(|(name, _)| *name == change.0) {
            Some(pair) => pair.1 = change.1,
            None => pairs.push(*change),
        }
    }
    pairs.retain(|(_, value)| !value.is_empty());
    pairs
}

/// A parameter with which a browser is sent back to the client; empty where there is none.
pub fn returned(answer: &Answer, name: &str) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    let location = Url::parse(answer.header("location")).unwrap();
    let found = location.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
    found.unwrap_or_default()
}

/// Name and secret as the header has them.
pub fn basic(client: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(client), encode(secret))))
}

pub fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

pub fn sha256(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

pub fn secret() -> String {
    let mut bytes = [0; 32];
    SystemRandomness.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn id() -> Uuid {
    foundation::clock::new_id(&SystemClock, &SystemRandomness)
}

/// The error of a refusal that OAuth 2.0 knows.
pub fn error(answer: &Answer) -> String {
    answer.json()["error"].as_str().unwrap_or_default().to_owned()
}
