//! What every request may use.

use std::sync::Arc;

use foundation::auth::csrf::Csrf;
use foundation::clock::{Clock, Randomness};
use foundation::database::Database;
use foundation::health::Health;
use foundation::http_client::HttpClient;
use foundation::mail::Mailer;
use foundation::seal::KeyRing;
use foundation::signing::ShortSecret;
use foundation::write::Writes;
use foundation::write::idempotency::KEPT_FOR;
use url::Url;

use crate::config::ServeConfig;
use crate::keys::{Keys, Stores};
use crate::provider::Provider;
use crate::settings::Settings;
use crate::throttle::Throttle;
use crate::upstream::Upstreams;

/// What every request may use.
#[derive(Debug)]
pub struct Broker {
    /// The issuer's name: `https://name`, without a slash at its end.
    pub issuer: String,
    /// Where people reach it.
    pub public_url: Url,
    /// Where things are kept.
    pub database: Database,
    /// Does writes, with their audit events.
    pub writes: Writes,
    /// Whether it answers.
    pub health: Arc<Health>,
    /// Who may ask, and which login providers there are.
    pub settings: Settings,
    /// Seals tokens and keys at rest.
    pub sealing: Arc<KeyRing>,
    /// Asks clients.
    pub http: HttpClient,
    /// What the endpoints for clients share.
    pub provider: Provider,
    /// The login providers.
    pub upstreams: Upstreams,
    /// Guards forms.
    pub csrf: Csrf,
    /// Slows whoever tries what is wrong, again and again.
    pub throttle: Throttle,
    /// Sends mail, where a mail server is configured.
    pub mailer: Option<Mailer>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes secrets and identifiers.
    pub randomness: Arc<dyn Randomness>,
}

impl Broker {
    /// Puts together what requests use; nothing is connected yet.
    ///
    /// # Errors
    /// A secret that is too short, which the configuration has refused before.
    pub fn new(
        config: &ServeConfig,
        database: Database,
        health: Arc<Health>,
        http: HttpClient,
        mailer: Option<Mailer>,
        made_by: (Arc<dyn Clock>, Arc<dyn Randomness>),
    ) -> Result<Self, ShortSecret> {
        let upstreams = Upstreams::new(&config.settings, &config.public_url, &http, &made_by);
        let (clock, randomness) = made_by;
        let writes = Writes::new(database.clone(), clock.clone(), randomness.clone(), KEPT_FOR);
        let issuer = config.public_url.as_str().trim_end_matches('/').to_owned();
        let secret = config.secret_key.expose().as_bytes();
        let keys = Keys::new(Stores {
            database: database.clone(),
            writes: writes.clone(),
            sealing: Arc::clone(&config.stores.sealing_keys),
            clock: clock.clone(),
            randomness: randomness.clone(),
        });
        Ok(Self {
            csrf: Csrf::new(secret, &config.public_url, randomness.clone())?,
            provider: Provider::new(&issuer, Arc::new(keys)),
            throttle: Throttle::default(),
            upstreams,
            mailer,
            writes,
            issuer,
            public_url: config.public_url.clone(),
            database,
            health,
            settings: config.settings.clone(),
            sealing: Arc::clone(&config.stores.sealing_keys),
            http,
            clock,
            randomness,
        })
    }

    /// What people call a login provider; its name where it is not offered any more.
    #[must_use]
    pub fn label<'a>(&'a self, provider: &'a str) -> &'a str {
        let found = self.settings.providers.iter().find(|found| found.name == provider);
        found.map_or(provider, |found| &found.label)
    }
}
