//! What every request may use.

use std::sync::Arc;

use axum::extract::Request;
use foundation::audit::watch::Watch;
use foundation::auth::authenticator::Authenticator;
use foundation::auth::csrf::Csrf;
use foundation::auth::layer::Authentication;
use foundation::auth::session::Sessions;
use foundation::auth::token::Prefix;
use foundation::clock::{Clock, Randomness};
use foundation::health::Health;
use foundation::http_client::HttpClient;
use foundation::jobs::Queue;
use foundation::page::cursor::CursorKey;
use foundation::rate_limit::RateLimiter;
use foundation::rate_limit::layer::RateLimits;
use foundation::request::RequestContext;
use foundation::seal::KeyRing;
use foundation::signing::ShortSecret;
use foundation::webhook::address::Allowed;
use foundation::webhook::client::{Client, Limits};
use foundation::webhook::resolve::NameServers;
use foundation::write::Writes;
use foundation::write::idempotency::KEPT_FOR;
use url::Url;

use crate::codes;
use crate::config::ServeConfig;
use crate::limits;
use crate::role::Memberships;
use crate::sign_in::SignIn;
use crate::stores::Stores;
use foundation::mail::Mailer;

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
    /// Sends mail, where a mail server is configured.
    pub mail: Option<Arc<Mailer>>,
    /// Delivers to webhooks, and says where it would not.
    pub webhooks: Client,
    /// What tokens start with.
    pub prefix: Prefix,
    /// Lets people sign in, where an issuer is configured.
    pub sign_in: Option<SignIn>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes secrets and identifiers.
    pub randomness: Arc<dyn Randomness>,
}

/// Why what requests use cannot be put together; the configuration has refused it before.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A secret is too short.
    #[error(transparent)]
    Secret(#[from] ShortSecret),
    /// The public URL cannot have paths.
    #[error("preparing to sign people in: {0}; check PUBLIC_URL")]
    PublicUrl(#[from] url::ParseError),
    /// A certificate is no authority's.
    #[error("preparing to deliver webhooks: {0}; check EXTRA_CA_FILE")]
    Webhooks(#[from] rustls::Error),
}

impl App {
    /// Puts together what requests use; nothing is connected yet.
    ///
    /// # Errors
    /// What the configuration has refused before.
    pub fn new(
        config: &ServeConfig,
        stores: Stores,
        health: Arc<Health>,
        http: HttpClient,
        mail: Option<Arc<Mailer>>,
        (clock, randomness): (Arc<dyn Clock>, Arc<dyn Randomness>),
    ) -> Result<Self, PrepareError> {
        let secret = config.secret_key.expose().as_bytes();
        let queue = Queue::new(Arc::clone(&stores.durable));
        let writes = Writes::new(stores.database.clone(), clock.clone(), randomness.clone(), KEPT_FOR)
            .waking(queue.clone())
            .knowing(codes::ALL)
            .sealing(Arc::clone(&config.sealing_keys));
        let prefix = Prefix::new(TOKEN_PREFIX).expect("a constant that is a prefix");
        let sessions = Sessions::new(Arc::clone(&stores.durable), clock.clone(), randomness.clone());
        let watch = Watch::new(stores.database.clone(), sessions.clone(), clock.clone(), randomness.clone());
        let authentication = Authentication {
            tokens: Authenticator::new(stores.database.clone(), prefix.clone(), clock.clone()),
            sessions,
            roles: Box::new(Memberships(stores.database.clone())),
            csrf: Csrf::new(secret, &config.public_url, randomness.clone())?,
            address: client_address,
            watch: Arc::new(watch),
        };
        let limiter = Arc::new(RateLimiter::new(Arc::clone(&stores.cache), clock.clone()));
        let sign_in = config.issuer.clone().map(|issuer| {
            let made_by = (clock.clone(), randomness.clone());
            SignIn::new(issuer, &config.public_url, http, Arc::clone(&stores.durable), made_by)
        });
        let limits = RateLimits { limiter, prefix: prefix.clone(), class: limits::class };
        let resolver = Arc::new(NameServers::of_system());
        let reach = Limits { allowed: Allowed::also(config.webhook_networks.clone()), ..Limits::default() };
        let webhooks = Client::new(resolver, &config.extra_authorities, reach)?;
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
            mail,
            webhooks,
            prefix,
            sign_in: sign_in.transpose()?,
            clock,
            randomness,
        })
    }
}

fn client_address(request: &Request) -> Option<std::net::IpAddr> {
    request.extensions().get::<RequestContext>().map(|context| context.address)
}
