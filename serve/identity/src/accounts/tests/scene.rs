//! An issuer without its network, its database, and the browsers of people who come back from login providers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use foundation::clock::SystemRandomness;
use foundation::clock::testing::FixedClock;
use foundation::database::Database;
use foundation::health::Health;
use foundation::http_client::{HttpClient, Limits};
use foundation::migrate::migrate;
use foundation::request::RequestContext;
use foundation::telemetry::Metrics;
use foundation::testing::servers::{Server, Servers};
use foundation::webhook::resolve::NameServers;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::accounts::pending::Pending;
use crate::accounts::{Notification, arrive, arrive_as_new, notified};
use crate::attempt::{Attempt, Purpose};
use crate::config::{MigrateConfig, ServeConfig};
use crate::request::AuthorizationRequest;
use crate::schema;
use crate::session::{self, BrowserSession};
use crate::state::Broker;
use crate::upstream::{Address, UpstreamTokens, Verified};

/// Noon of a day in January 2027.
const NOW: i64 = 1_800_014_400;

/// The issuer.
pub struct Scene {
    pub broker: Arc<Broker>,
    pub servers: Servers,
    pub clock: Arc<FixedClock>,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// With more at the beginning of the file of clients and login providers.
    pub async fn with(settings: &str) -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let servers = Servers::start();
        let variables = environment(&servers, settings);
        let variable = |name: &str| variables.get(name).cloned();
        let migrating = MigrateConfig::read(variable).unwrap();
        let role = migrating.serving_role.as_deref();
        migrate(schema::MIGRATIONS, &migrating.database, &migrating.ca, role).await.unwrap();
        let config = ServeConfig::read(variable).unwrap();
        let database = Database::new(&config.stores.database, &config.stores.ca).unwrap();
        let health = Health::new(&Metrics::new("identity", "0", "test"));
        let resolver = Arc::new(NameServers::of_system());
        let http = HttpClient::new(resolver, &config.extra_authorities, Limits::default()).unwrap();
        let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        let clock = Arc::new(FixedClock::at(now));
        let made_by = (clock.clone() as _, Arc::new(SystemRandomness) as _);
        let broker = Arc::new(Broker::new(&config, database, health, http, None, made_by).unwrap());
        Self { broker, servers, clock }
    }

    pub fn context(&self) -> RequestContext {
        RequestContext::following(None, None, &*self.broker.clock, &*self.broker.randomness)
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// What a query answers, as text.
    pub fn ask(&self, sql: &str) -> String {
        self.servers.sql(sql, "app")
    }

    pub fn count(&self, of: &str) -> usize {
        self.ask(&format!("SELECT count(*) FROM {of}")).parse().unwrap()
    }

    /// Letters that wait, as `name to`, by their address.
    pub fn letters(&self) -> Vec<String> {
        let sql = "SELECT coalesce(string_agg(payload->>'letter' || ' ' || (payload->>'to'), E'\\n' \
                   ORDER BY payload->>'to', payload->>'letter'), '') FROM errands WHERE kind = 'mail'";
        self.ask(sql).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    pub async fn notify(&self, provider: &str, subject: &str, notification: Notification) {
        notified(&self.broker, &self.context(), provider, subject, notification).await.unwrap();
    }

    pub fn account_of(&self, provider: &str, subject: &str) -> Uuid {
        let sql = format!(
            "SELECT account_id FROM identities WHERE provider = '{provider}' AND subject = '{subject}'"
        );
        self.ask(&sql).parse().unwrap()
    }

    /// Gives a client something in a session, or in one that is over.
    pub fn grant(&self, client: &str, account: Uuid, session: Uuid, scope: &str) {
        self.ask(&format!(
            "INSERT INTO grants (id, client_id, account_id, session_id, scope, authenticated_at, created_at) \
             VALUES (gen_random_uuid(), '{client}', '{account}', nullif('{session}', '{}')::uuid, '{scope}', now(), now())",
            Uuid::nil()
        ));
    }
}

fn environment(servers: &Servers, settings: &str) -> BTreeMap<&'static str, String> {
    let file = |name: &str| servers.path(name).display().to_string();
    std::fs::write(servers.path("secret-key"), "correct horse battery staple, twice").unwrap();
    std::fs::write(servers.path("sealing-keys"), format!("1:{}=\n", "A".repeat(43))).unwrap();
    std::fs::write(servers.path("client-secret"), "a secret that is long enough for a client").unwrap();
    let (secret, apple) = (file("client-secret"), file("apple.p8"));
    std::fs::write(&apple, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let provider = |kind: &str| {
        format!("[[provider]]\nkind = \"{kind}\"\nclient_id = \"{kind}\"\nsecret_file = \"{secret}\"\n")
    };
    let settings = format!(
        "{settings}\n[[client]]\nid = \"app\"\nsecret_file = \"{secret}\"\n\
         redirect_uris = [\"https://app.example.test/callback\"]\n\
         back_channel_logout_uri = \"https://app.example.test/logout\"\n\
         [[client]]\nid = \"quiet\"\nsecret_file = \"{secret}\"\nredirect_uris = [\"https://quiet.test/callback\"]\n\
         {}{}{}[[provider]]\nkind = \"apple\"\nclient_id = \"apple\"\nkey_file = \"{apple}\"\nkey_id = \"K\"\n\
         team_id = \"T\"\n",
        provider("google"),
        provider("github"),
        provider("microsoft"),
    );
    std::fs::write(servers.path("identity.toml"), settings).unwrap();
    BTreeMap::from([
        ("PORT", "1".to_owned()),
        ("METRICS_PORT", "2".to_owned()),
        ("BIND_ADDRESS", "127.0.0.1".to_owned()),
        ("PUBLIC_URL", "https://id.example.test".to_owned()),
        ("PRIVATE_CA_FILE", file("ca.pem")),
        ("TLS_CERT_FILE", file("server.pem")),
        ("TLS_KEY_FILE", file("server.key")),
        ("DATABASE_URL", format!("postgres://app@127.0.0.1:{}/app", servers.port(Server::Postgres))),
        ("DATABASE_PASSWORD_FILE", file("password")),
        ("DATABASE_DIRECT_URL", format!("postgres://owner@127.0.0.1:{}/app", servers.port(Server::Postgres))),
        ("DATABASE_DIRECT_PASSWORD_FILE", file("password")),
        ("SECRET_KEY_FILE", file("secret-key")),
        ("SEALING_KEYS_FILE", file("sealing-keys")),
        ("IDENTITY_FILE", file("identity.toml")),
    ])
}

/// A person at a login provider who says this address.
pub fn verified(provider: &str, subject: &str, address: Option<(&str, bool)>) -> Verified {
    let email = |(text, is_vouched): (&str, bool)| Address {
        text: text.to_owned(),
        is_vouched,
        is_relay: text.ends_with("@privaterelay.appleid.com"),
    };
    Verified {
        provider: provider.to_owned(),
        subject: subject.to_owned(),
        email: address.map(email),
        given_name: Some("Ada".to_owned()),
        family_name: Some("Lovelace".to_owned()),
        picture: None,
        authenticated_at: None,
        tokens: Some(UpstreamTokens {
            access: format!("access-of-{provider}-{subject}"),
            refresh: None,
            scope: "openid".to_owned(),
            expires_at: None,
        }),
    }
}

/// What a client asks for.
pub fn authorization() -> Purpose {
    Purpose::Authorize(Box::new(AuthorizationRequest {
        scope: vec!["openid".to_owned()],
        ..AuthorizationRequest::new("app", "https://app.example.test/callback")
    }))
}

/// A browser: its cookies.
#[derive(Default, Clone)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
}

/// What a browser got.
pub struct Got {
    pub status: u16,
    pub location: String,
}

impl Browser {
    pub fn headers(&self) -> HeaderMap {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(pairs.join("; ")).unwrap())])
    }

    fn keep(&mut self, response: &Response) -> Got {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = response.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
        Got { status: response.status().as_u16(), location: location.unwrap_or_default() }
    }

    /// Begins something, and comes back from a login provider as this person.
    pub async fn come(&mut self, scene: &Scene, purpose: Purpose, verified: Verified) -> Got {
        let broker = &scene.broker;
        let attempt = Attempt::begin(purpose, &*broker.clock, &*broker.randomness);
        self.come_with(scene, attempt, verified).await
    }

    pub async fn come_with(&mut self, scene: &Scene, attempt: Attempt, verified: Verified) -> Got {
        let (context, headers) = (scene.context(), self.headers());
        let response = arrive(&scene.broker, &context, &headers, attempt, verified).await;
        let response = response.unwrap_or_else(IntoResponse::into_response);
        self.keep(&response)
    }

    /// The attempt of a question's address, which this browser has.
    pub fn question(&self, scene: &Scene, got: &Got) -> Option<Attempt> {
        let state = got.location.strip_prefix("/linking/")?;
        Attempt::of(&self.headers(), state, &scene.broker.sealing, scene.broker.clock.now())
    }

    /// Answers that there is no account yet.
    pub async fn go_on_as_new(&mut self, scene: &Scene, got: &Got) -> Got {
        let attempt = self.question(scene, got).unwrap();
        let headers = self.headers();
        let pending = Pending::of(&headers, &attempt, &scene.broker.sealing).unwrap();
        let context = scene.context();
        let response = arrive_as_new(&scene.broker, &context, &headers, &attempt, &pending).await.unwrap();
        self.keep(&response)
    }

    pub async fn session(&self, scene: &Scene) -> Option<BrowserSession> {
        session::current(&scene.broker, &self.headers()).await.unwrap()
    }

    pub async fn account(&self, scene: &Scene) -> Option<Uuid> {
        self.session(scene).await.map(|session| session.account)
    }
}
