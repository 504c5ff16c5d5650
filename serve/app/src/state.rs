//! What every request may use.

use std::sync::Arc;

use axum::extract::Request;
use foundation::auth::authenticator::Authenticator;
use foundation::auth::csrf::Csrf;
use foundation::auth::layer::Authentication;
use foundation::auth::session::Sessions;
use foundation::auth::token::Prefix;
use foundation::clock::{Clock, Randomness};
use foundation::health::Health;
use foundation::jobs::Queue;
use foundation::page::cursor::CursorKey;
use foundation::rate_limit::RateLimiter;
use foundation::rate_limit::layer::RateLimits;
use foundation::request::RequestContext;
use foundation::seal::KeyRing;
use foundation::write::Writes;
use foundation::write::idempotency::KEPT_FOR;
use url::Url;

use crate::config::ServeConfig;
use crate::limits;
use crate::role::Memberships;
use crate::stores::Stores;

/// What every token of this product starts with; scanners of leaks know it.
pub const TOKEN_PREFIX: &str = "bst";

/// What every request may use.
#[derive(Debug)]
pub struct App {
    /// Where things are kept.
    pub stores: Stores,
    /// Whether they answer.
    pub health: Arc<Health>,
    /// The name of what is deployed.
    pub release: String,
    /// Where people and agents reach the application.
    pub public_url: Url,
    /// Does writes.
    pub writes: Writes,
    /// Signs cursors.
    pub cursors: CursorKey,
    /// Finds out who asks.
    pub authentication: Arc<Authentication>,
    /// Limits how often.
    pub limits: Arc<RateLimits>,
    /// Is told of jobs.
    pub queue: Queue,
    /// Seals secrets at rest.
    pub sealing: Arc<KeyRing>,
    /// What tokens start with.
    pub prefix: Prefix,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes secrets and identifiers.
    pub randomness: Arc<dyn Randomness>,
}

impl App {
    /// Puts together what requests use; nothing is connected yet.
    ///
    /// # Errors
    /// A secret that is too short, which the configuration has refused before.
    pub fn new(
        config: &ServeConfig,
        stores: Stores,
        health: Arc<Health>,
        (clock, randomness): (Arc<dyn Clock>, Arc<dyn Randomness>),
    ) -> Result<Self, foundation::signing::ShortSecret> {
        let secret = config.secret_key.expose().as_bytes();
        let queue = Queue::new(Arc::clone(&stores.durable));
        let writes = Writes::new(stores.database.clone(), clock.clone(), randomness.clone(), KEPT_FOR)
            .waking(queue.clone())
            .sealing(Arc::clone(&config.sealing_keys));
        let prefix = Prefix::new(TOKEN_PREFIX).expect("a constant that is a prefix");
        let authentication = Authentication {
            tokens: Authenticator::new(stores.database.clone(), prefix.clone(), clock.clone()),
            sessions: Sessions::new(Arc::clone(&stores.durable), clock.clone(), randomness.clone()),
            roles: Box::new(Memberships(stores.database.clone())),
            csrf: Csrf::new(secret, &config.public_url, randomness.clone())?,
            address: client_address,
        };
        let limiter = Arc::new(RateLimiter::new(Arc::clone(&stores.cache), clock.clone()));
        let limits = RateLimits { limiter, prefix: prefix.clone(), class: limits::class };
        Ok(Self {
            stores,
            health,
            release: config.release.clone(),
            public_url: config.public_url.clone(),
            writes,
            cursors: CursorKey::new(secret)?,
            authentication: Arc::new(authentication),
            limits: Arc::new(limits),
            queue,
            sealing: Arc::clone(&config.sealing_keys),
            prefix,
            clock,
            randomness,
        })
    }
}

fn client_address(request: &Request) -> Option<std::net::IpAddr> {
    request.extensions().get::<RequestContext>().map(|context| context.address)
}
