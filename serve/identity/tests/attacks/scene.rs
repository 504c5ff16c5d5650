//! An issuer with clients and the world's login providers, the way of a person from a client and back, and what clients ask.

#[allow(dead_code, reason = "what clients alone do is tried elsewhere")]
#[path = "../provider/scene.rs"]
mod client;

use std::ops::{Deref, DerefMut};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::http::Method;
use foundation::jwt::KeySet;
use foundation::testing::program::Answer;
use login_providers::{Proof, Provider, Registration};
use serde_json::{Value, json};
use url::Url;

use crate::support::browser::Browser;
use crate::support::people;
use crate::support::stage::{CLIENT_SECRET, ISSUER};
use crate::world::{self, SECRET, at};

pub use client::{
    BACK, BYE, FORM, VERIFIER, assertion_claims, basic, encoded, error, good, jwt, redemption, returned,
    secret,
};

/// The cookie of a session.
pub const SESSION: &str = "__Host-session";
/// Asks for a refresh token as well.
pub const OFFLINE: (&str, &str) = ("scope", "openid email offline_access");
/// By which clients say that they sign.
pub const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The world with an issuer in it that has clients.
pub struct Scene {
    inner: world::Scene,
    /// That of the client `signer`.
    pub key: EcdsaKeyPair,
}

impl Deref for Scene {
    type Target = world::Scene;

    fn deref(&self) -> &world::Scene {
        &self.inner
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut world::Scene {
        &mut self.inner
    }
}

impl Scene {
    /// Google, GitHub, Microsoft, Apple, and a fifth one whose word on addresses does not count.
    pub async fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let world = world::Scene::with(|servers, world| {
            let (secret, site) = (servers.path("upstream-secret"), world.origin(Provider::Google));
            let callback = format!("{ISSUER}/callback/fifth");
            let proof = Proof::Secret(SECRET.to_owned());
            world.register(Provider::Google, Registration::new("fifth", &callback, proof));
            let fifth = format!(
                "[[provider]]\nkind = \"oidc\"\nname = \"fifth\"\nclient_id = \"fifth\"\nat = {site:?}\n\
                 secret_file = {secret:?}\n"
            );
            client::clients(servers, &key, "https://app.example.test/back-channel-logout") + &fifth
        });
        Self { inner: world.await, key }
    }

    /// Somebody's account with a provider says this from now on, and that person comes next.
    pub fn awaits(&self, provider: &str, person: &str, says: &Value) {
        let provider = Provider::of(provider).unwrap();
        self.inner.world.change(provider, person, says).unwrap();
        self.inner.world.awaits(provider, Some(person));
    }

    /// The state of the buttons of the page on which people sign in by themselves.
    pub async fn begun(&self, browser: &mut Browser) -> String {
        people::state_of(&browser.open(&at("/sign-in?again=true")).await.text)
    }

    /// Presses a button, and signs in there: where that leads, which is the issuer again.
    pub async fn returns(&self, browser: &mut Browser, state: &str, provider: &str) -> Url {
        let url = self.leave(browser, state, provider).await;
        self.at_provider(browser, &url, provider).await
    }

    /// Presses a button, signs in there and comes back.
    pub async fn press(&self, browser: &mut Browser, state: &str, provider: &str) -> Answer {
        let back = self.returns(browser, state, provider).await;
        browser.open(&back).await
    }

    /// Somebody signs in by a provider, and is in: by the answer, whoever is new says so.
    pub async fn enters(&self, browser: &mut Browser, provider: &str) {
        let state = self.begun(browser).await;
        let answer = self.press(browser, &state, provider).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let location = answer.header("location").to_owned();
        if location.starts_with("/linking/") {
            let answer = browser.post(&at(&format!("{location}/new")), ISSUER, &[]).await;
            assert_eq!(answer.header("location"), "/account", "{}", answer.text);
        }
    }

    /// The code that the client `app` gets, or another by these changes, of whoever is signed in.
    pub async fn code(&self, browser: &mut Browser, changes: &[(&str, &str)]) -> String {
        let url = at(&format!("/authorize?{}", encoded(&good(changes))));
        returned(&browser.open(&url).await, "code")
    }

    /// Who is signed in, as the client `app` is told.
    pub async fn who(&self, browser: &mut Browser) -> Option<Value> {
        let url = at(&format!("/authorize?{}", encoded(&good(&[("prompt", "none")]))));
        let code = returned(&browser.open(&url).await, "code");
        if code.is_empty() {
            return None;
        }
        let tokens = self.redeem(&code, &[]).await.json();
        Some(self.userinfo(tokens["access_token"].as_str().unwrap()).await.json())
    }

    /// The tokens of `app` for whoever is signed in.
    pub async fn tokens(&self, browser: &mut Browser, changes: &[(&str, &str)]) -> Value {
        let code = self.code(browser, changes).await;
        let answer = self.redeem(&code, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    pub async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Answer {
        self.post_as("app", "/token", &redemption(code, changes)).await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.post_as("app", "/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Posts a form as a client with a secret.
    pub async fn post_as(&self, client: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post(path, &[("authorization", &basic(client, CLIENT_SECRET))], fields).await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
        let headers = [headers, &[FORM]].concat();
        self.stage.issuer.send(Method::POST, path, &headers, &encoded(fields)).await
    }

    pub async fn userinfo(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.stage.issuer.ask(Method::GET, "/userinfo", &[("authorization", &bearer)]).await
    }

    /// Asks as the client `signer`, which proves itself by this assertion.
    pub async fn signed(&self, assertion: &str) -> Answer {
        let fields = [("token", "x"), ("client_assertion_type", ASSERTION), ("client_assertion", assertion)];
        self.post("/introspect", &[], &fields).await
    }

    /// What a token says, if a key that is published has signed it.
    pub async fn verified(&self, token: &str) -> Option<Value> {
        let published = self.stage.issuer.get("/keys").await;
        let keys = KeySet::of(serde_json::from_str(&published.text).unwrap());
        keys.verify::<Value>(token).ok().map(|(_, claims)| claims)
    }

    pub fn sql(&self, statement: &str) -> String {
        self.stage.servers.sql(statement, "app")
    }

    /// The audit log's events of an action: results and reasons.
    pub fn audited(&self, action: &str) -> String {
        self.sql(&format!(
            "SELECT result || ' ' || coalesce(changes->'reason'->>1, '') FROM audit_events WHERE action = '{action}' \
             ORDER BY position, id"
        ))
    }
}

/// The header of a token that says how it is signed.
pub fn signed_by(algorithm: &str) -> Value {
    json!({ "alg": algorithm, "typ": "JWT" })
}
