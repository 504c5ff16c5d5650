//! An issuer with all four login providers, and a browser in which a sign-in has begun.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::clock::{Clock as _, SystemClock, SystemRandomness};
use foundation::environment::ServerCertificate;
use foundation::seal::KeyRing;
use foundation::testing::program::Answer;
use foundation::testing::servers::Servers;
use foundation::tls;
use login_providers::{Proof, Provider, Providers, Registration};
use serde_json::json;
use url::Url;

use crate::support::browser::Browser;
use crate::support::stage::{ISSUER, Stage};

pub const CLIENT: &str = "issuer";
pub const SECRET: &str = "s3cret:with +%&/= in it";
pub const NAMES: [&str; 4] = ["google", "github", "microsoft", "apple"];

pub struct Scene {
    pub stage: Stage,
    pub world: Providers,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(|_, _| String::new()).await
    }

    /// With more in the issuer's file of clients and login providers.
    pub async fn with(more: impl FnOnce(&Servers, &Providers) -> String) -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let servers = Servers::start();
        let shown =
            ServerCertificate { certificate: servers.path("server.pem"), key: servers.path("server.key") };
        let world = Providers::start(&tls::server(&shown).unwrap(), "localhost").await.unwrap();
        let apple = rcgen::KeyPair::generate().unwrap().serialize_pem();
        std::fs::write(servers.path("upstream-secret"), SECRET).unwrap();
        std::fs::write(servers.path("apple.p8"), &apple).unwrap();
        let mut settings = String::new();
        for name in NAMES {
            let provider = Provider::of(name).unwrap();
            let at = world.origin(provider);
            let (credential, proof) = if provider == Provider::Apple {
                let key = servers.path("apple.p8");
                let names = "key_id = \"KEY\"\nteam_id = \"TEAM\"";
                let (key_id, team_id) = ("KEY".to_owned(), "TEAM".to_owned());
                let proof = Proof::Key { pem: apple.clone(), key_id, team_id };
                (format!("key_file = {key:?}\n{names}"), proof)
            } else {
                let secret = servers.path("upstream-secret");
                (format!("secret_file = {secret:?}\nexpires = 2099-01-01"), Proof::Secret(SECRET.to_owned()))
            };
            settings += &format!(
                "[[provider]]\nkind = {name:?}\nclient_id = {CLIENT:?}\nat = {at:?}\n{credential}\n"
            );
            world.register(provider, Registration::new(CLIENT, &format!("{ISSUER}/callback/{name}"), proof));
            world.awaits(provider, Some("ada"));
        }
        settings += &more(&servers, &world);
        let stage = Stage::on(servers, |_| settings, &[]).await;
        Self { stage, world }
    }

    /// A browser that knows the sites and has been nowhere.
    pub fn browser(&self) -> Browser {
        let browser = Browser::new(self.stage.servers.path("ca.pem")).knows(ISSUER, self.stage.issuer.port);
        let knows = |browser: Browser, provider| {
            browser.knows(&self.world.origin(provider), self.world.port(provider))
        };
        Provider::ALL.into_iter().fold(browser, knows)
    }

    /// Begins a sign-in in a browser, as a client's request does; its state.
    pub fn begin(&self, browser: &mut Browser, nth: u8) -> String {
        self.begin_at(browser, nth, SystemClock.now().unix_timestamp())
    }

    /// The same, at another second.
    pub fn begin_at(&self, browser: &mut Browser, nth: u8, second: i64) -> String {
        let keys = KeyRing::parse(&format!("1:{}=\n", "A".repeat(43))).unwrap();
        let secret = |what: u8| URL_SAFE_NO_PAD.encode([[nth; 31].as_slice(), &[what]].concat());
        let state = secret(1);
        let attempt = json!({
            "state": state, "nonce": secret(2), "verifier": secret(3), "provider": null, "purpose": "account",
            "began_at": second
        });
        let owner = format!("attempt:{state}");
        let sealed = keys.seal(attempt.to_string().as_bytes(), owner.as_bytes(), &SystemRandomness).unwrap();
        let value = format!("{}.{}", sealed.key_id, URL_SAFE_NO_PAD.encode(sealed.bytes));
        browser.plant(ISSUER, &format!("__Host-attempt-{}", &state[..8]), &value);
        state
    }

    /// Chooses a provider; where that leads.
    pub async fn leave(&self, browser: &mut Browser, state: &str, name: &str) -> Url {
        let button = at(&format!("/attempts/{state}/{name}"));
        let answer = browser.post(&button, ISSUER, &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        Browser::next(&answer, &button)
    }

    /// Goes to a provider and signs in there; where that leads, which is the issuer again.
    pub async fn at_provider(&self, browser: &mut Browser, url: &Url, name: &str) -> Url {
        let answer = browser.open(url).await;
        if name != "apple" {
            return Browser::next(&answer, url);
        }
        let fields = hidden(&answer.text);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let callback = at("/callback/apple");
        let answer = browser.post(&callback, &self.world.origin(Provider::Apple), &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        Browser::next(&answer, &callback)
    }

    /// Leaves for a provider and comes back.
    pub async fn signs_in(&self, browser: &mut Browser, nth: u8, name: &str) -> (Url, Answer) {
        let state = self.begin(browser, nth);
        let url = self.leave(browser, &state, name).await;
        let back = self.at_provider(browser, &url, name).await;
        let answer = browser.open(&back).await;
        (back, answer)
    }

    /// How often somebody has come back and was believed.
    pub fn believed(&self) -> usize {
        let message = "somebody has come back from a login provider";
        self.stage.issuer.log().iter().filter(|line| line["message"] == message).count()
    }

    /// Why sign-ins were denied, the oldest first.
    pub fn denied(&self) -> Vec<String> {
        let sql = "SELECT concat_ws(' ', changes->'provider'->>1, changes->'reason'->>1) FROM audit_events \
                   WHERE action = 'session.sign-in' AND result = 'denied' ORDER BY occurred_at, id";
        self.stage.servers.sql(sql, "app").lines().map(str::to_owned).collect()
    }

    /// How often a provider was asked for tokens.
    pub fn redeemed(&self, name: &str) -> usize {
        let path = match name {
            "google" => "/token",
            "github" => "/login/oauth/access_token",
            "microsoft" => "/common/oauth2/v2.0/token",
            _ => "/auth/token",
        };
        self.world.asked_for(Provider::of(name).unwrap(), path)
    }
}

/// A place of the issuer.
pub fn at(path: &str) -> Url {
    format!("{ISSUER}{path}").parse().unwrap()
}

/// The hidden fields of a page's form.
pub fn hidden(page: &str) -> Vec<(String, String)> {
    let field = |part: &str| {
        let (name, rest) = part.split_once("\" value=\"").unwrap();
        let value = rest.split_once('"').unwrap().0.replace("&quot;", "\"").replace("&amp;", "&");
        (name.to_owned(), value)
    };
    page.split("<input type=\"hidden\" name=\"").skip(1).map(field).collect()
}
