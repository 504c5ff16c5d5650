//! Login providers' tokens, kept and refreshed, with a real database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use foundation::audit::Origin;
use foundation::clock::{Clock as _, SystemClock, SystemRandomness};
use foundation::database::Database;
use foundation::environment::ServerCertificate;
use foundation::health::Health;
use foundation::http_client::{HttpClient, Limits};
use foundation::telemetry::Metrics;
use foundation::testing::servers::{Server, Servers};
use foundation::tls;
use foundation::webhook::resolve::NameServers;
use foundation::write::idempotency::Answer;
use login_providers::{Fault, Proof, Provider, Providers, Registration};
use url::{Position, Url};
use uuid::Uuid;

use super::super::manner::Wish;
use super::super::refresh::{RefreshError, fresh, keep};
use super::super::returned::Returned;
use super::super::{UpstreamTokens, Verified};
use crate::attempt::{Attempt, Purpose};
use crate::config::ServeConfig;
use crate::schema;
use crate::state::Broker;

const ACCOUNT: &str = "00000000-0000-0000-0000-0000000000aa";
const IDENTITY: Uuid = Uuid::from_u128(0xbb);
const OTHER: Uuid = Uuid::from_u128(0xcc);

struct Scene {
    broker: Broker,
    world: Providers,
    servers: Servers,
}

impl Scene {
    async fn new() -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let servers = Servers::start();
        servers.migrate(schema::MIGRATIONS).await;
        let file = |name: &str| servers.path(name).display().to_string();
        let shown =
            ServerCertificate { certificate: servers.path("server.pem"), key: servers.path("server.key") };
        let world = Providers::start(&tls::server(&shown).unwrap(), "localhost").await.unwrap();
        let client = |name: &str| {
            Registration::new(
                "issuer",
                &format!("https://id.example.test/callback/{name}"),
                Proof::Secret("secret".to_owned()),
            )
        };
        let of = |name: &str, provider| {
            let at = world.origin(provider);
            let secret = file("upstream-secret");
            format!(
                "[[provider]]\nkind = {name:?}\nclient_id = \"issuer\"\nsecret_file = {secret:?}\nat = {at:?}\n"
            )
        };
        let mut settings = format!(
            "[[client]]\nid = \"app\"\nsecret_file = {:?}\nredirect_uris = [\"https://www.example.test/\"]\n\
             upstream_tokens = true\n",
            file("secret-key")
        );
        for (name, provider) in [("google", Provider::Google), ("microsoft", Provider::Microsoft)] {
            settings += &of(name, provider);
            world.register(provider, client(name));
            world.awaits(provider, Some("ada"));
        }
        for (name, text) in [
            ("secret-key", "s".repeat(40)),
            ("sealing-keys", format!("1:{}=\n", "A".repeat(43))),
            ("upstream-secret", "secret".to_owned()),
            ("identity.toml", settings),
        ] {
            std::fs::write(servers.path(name), text).unwrap();
        }
        let variables = BTreeMap::from([
            ("BIND_ADDRESS", "127.0.0.1".to_owned()),
            ("PORT", "1".to_owned()),
            ("METRICS_PORT", "2".to_owned()),
            ("PUBLIC_URL", "https://id.example.test".to_owned()),
            ("PRIVATE_CA_FILE", file("ca.pem")),
            ("EXTRA_CA_FILE", file("ca.pem")),
            ("DATABASE_URL", format!("postgres://app@127.0.0.1:{}/app", servers.port(Server::Postgres))),
            ("DATABASE_PASSWORD_FILE", file("password")),
            ("SECRET_KEY_FILE", file("secret-key")),
            ("SEALING_KEYS_FILE", file("sealing-keys")),
            ("IDENTITY_FILE", file("identity.toml")),
        ]);
        let config = ServeConfig::read(|name| variables.get(name).cloned()).unwrap();
        let database = Database::new(&config.stores.database, &config.stores.ca).unwrap();
        let health = Health::new(&Metrics::new("identity", "1", "r"));
        let resolver = Arc::new(NameServers::of_system());
        let http = HttpClient::new(resolver, &config.extra_authorities, Limits::default()).unwrap();
        let made_by = (Arc::new(SystemClock) as _, Arc::new(SystemRandomness) as _);
        let broker = Broker::new(&config, database, health, http, None, made_by).unwrap();
        Self { broker, world, servers }
    }

    /// Whom a provider knows, and an identity of theirs with the tokens.
    async fn signs_in(&self, name: &str) -> UpstreamTokens {
        let source = self.broker.upstreams.named(name).unwrap();
        let begun = Attempt::begin(Purpose::Account, &SystemClock, &SystemRandomness);
        let attempt = Attempt { provider: Some(name.to_owned()), ..begun };
        let url = source.invitation(&attempt, &Wish::default()).await.unwrap();
        let ca = self.servers.path("ca.pem");
        let path = &url[Position::BeforePath..];
        let port = url.port().unwrap();
        let get = axum::http::Method::GET;
        let answer = foundation::testing::program::ask(port, &ca, "http/1.1", get, path, &[]).await.unwrap();
        let back: Url = answer.header("location").parse().unwrap();
        let returned = Returned::read(back.query().unwrap().as_bytes(), false).unwrap();
        let Verified { subject, tokens, .. } = source.identify(&attempt, &returned).await.unwrap();
        self.servers.sql(
            &format!("INSERT INTO accounts (id, created_at, updated_at) VALUES ('{ACCOUNT}', now(), now()) ON CONFLICT DO NOTHING"),
            "app",
        );
        self.servers.sql(
            &format!(
                "INSERT INTO identities (id, account_id, provider, subject, created_at, last_used_at) VALUES \
                 ('{IDENTITY}', '{ACCOUNT}', '{name}', '{subject}', now(), now()) ON CONFLICT DO NOTHING"
            ),
            "app",
        );
        tokens.unwrap()
    }

    async fn keep(&self, tokens: &UpstreamTokens) {
        let origin = Origin::of_system(None, "test".to_owned());
        let mut unit = self.broker.writes.begin_without_key(&origin).await.unwrap();
        keep(&self.broker, &mut unit.transaction, IDENTITY, tokens).await.unwrap();
        unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.unwrap();
    }

    fn sql(&self, statement: &str) -> String {
        self.servers.sql(statement, "app")
    }
}

fn about_to_end(tokens: &UpstreamTokens) -> UpstreamTokens {
    UpstreamTokens { expires_at: Some(SystemClock.now() + Duration::from_secs(60)), ..tokens.clone() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn tokens_are_refreshed_by_one_when_they_are_about_to_end() {
    let scene = Scene::new().await;
    let path = "/common/oauth2/v2.0/token";
    let first = scene.signs_in("microsoft").await;
    assert!(matches!(fresh(&scene.broker, IDENTITY).await, Err(RefreshError::Nothing)));
    scene.keep(&first).await;
    assert_eq!(
        scene.sql(
            "SELECT count(*) FROM upstream_grants WHERE position('EwB' IN encode(sealed, 'escape')) > 0"
        ),
        "0"
    );
    assert_eq!(fresh(&scene.broker, IDENTITY).await.unwrap().access, first.access);
    assert_eq!(scene.world.asked_for(Provider::Microsoft, path), 1);

    scene.keep(&about_to_end(&first)).await;
    // Long enough that all of them have come.
    scene.world.does_wrong(Provider::Microsoft, Some(Fault::Slow { milliseconds: 700 }));
    let ask = || fresh(&scene.broker, IDENTITY);
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    scene.world.does_wrong(Provider::Microsoft, None);
    let one = one.unwrap();
    assert!(one.access == two.unwrap().access && one.access == three.unwrap().access);
    assert_ne!(one.access, first.access);
    assert_eq!(scene.world.asked_for(Provider::Microsoft, path), 2, "one has asked");
    // The one that came with it was kept in the place of the old one.
    assert_ne!(one.refresh, first.refresh);
    scene.keep(&about_to_end(&one)).await;
    assert_ne!(fresh(&scene.broker, IDENTITY).await.unwrap().access, one.access);

    // A grant that the provider has ended ends here, and says so.
    scene.world.forgets(Provider::Microsoft, "ada");
    scene.sql("UPDATE upstream_grants SET expires_at = now()");
    assert!(matches!(fresh(&scene.broker, IDENTITY).await, Err(RefreshError::Nothing)));
    assert_eq!(scene.sql("SELECT count(*) FROM upstream_grants"), "0");
    let events = "SELECT action, resource_id, changes->'reason'->>1 FROM audit_events";
    assert_eq!(scene.sql(events), format!("upstream-grant.end|{IDENTITY}|refused-by-provider"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_refresh_token_that_comes_once_is_kept_and_outlives_an_outage() {
    let scene = Scene::new().await;
    let first = scene.signs_in("google").await;
    scene.keep(&first).await;
    let second = scene.signs_in("google").await;
    assert!(first.refresh.is_some() && second.refresh.is_none());
    scene.keep(&about_to_end(&second)).await;
    scene.world.does_wrong(Provider::Google, Some(Fault::Down));
    assert!(matches!(fresh(&scene.broker, IDENTITY).await, Err(RefreshError::Unavailable(_))));
    scene.world.does_wrong(Provider::Google, None);
    let third = fresh(&scene.broker, IDENTITY).await.unwrap();
    assert!(third.access != second.access && third.refresh == first.refresh);

    // Tokens of another identity do not open here, nor those that somebody has changed.
    scene.sql(&format!(
        "INSERT INTO identities (id, account_id, provider, subject, created_at, last_used_at) \
         VALUES ('{OTHER}', '{ACCOUNT}', 'google', 'other', now(), now()); \
         INSERT INTO upstream_grants (identity_id, scope, key_id, sealed, expires_at, updated_at) \
         SELECT '{OTHER}', scope, key_id, sealed, expires_at, updated_at FROM upstream_grants"
    ));
    assert!(fresh(&scene.broker, IDENTITY).await.is_ok());
    assert!(matches!(fresh(&scene.broker, OTHER).await, Err(RefreshError::Nothing)));
    scene.sql("UPDATE upstream_grants SET sealed = sealed || '\\x00'::bytea");
    assert!(matches!(fresh(&scene.broker, IDENTITY).await, Err(RefreshError::Nothing)));
    // What cannot be refreshed is good as long as it lasts.
    scene.sql("DELETE FROM upstream_grants");
    scene.keep(&about_to_end(&second)).await;
    assert_eq!(fresh(&scene.broker, IDENTITY).await.unwrap().access, second.access);
    scene.sql("UPDATE upstream_grants SET expires_at = now()");
    assert!(matches!(fresh(&scene.broker, IDENTITY).await, Err(RefreshError::Nothing)));
}
