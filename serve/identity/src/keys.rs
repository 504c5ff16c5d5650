//! Keys with which the issuer signs. They follow each other without a restart: each is published well before it signs, and
//! stays published until everything that it signed has ended. All processes share those in the database.

pub mod command;
mod pair;
mod plan;
mod store;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Bytes;
use foundation::audit::{Event, Origin};
use foundation::clock::{self, Clock, Randomness};
use foundation::database::Database;
use foundation::jwt::KeySet;
use foundation::problem::{Problem, codes, unavailable};
use foundation::seal::KeyRing;
use foundation::telemetry::Metrics;
use foundation::write::Writes;
use foundation::write::idempotency::{Answer, KEPT_FOR};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use crate::config::StoresConfig;
use crate::settings::Algorithm;
pub use pair::{KeyError, Pair};
use plan::{Known, Step};

/// How often a process looks at what the others have done.
const LOOKS: Duration = Duration::from_secs(10);
/// A key that is not known is no reason to look more often than this.
const LOOKS_AGAIN: Duration = Duration::from_secs(2);
/// With which algorithms there are keys.
pub const ALGORITHMS: [Algorithm; 2] = [Algorithm::ES256, Algorithm::RS256];

/// Where keys are kept, and with what they are made and sealed.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Where they are kept.
    pub database: Database,
    /// Writes them, with audit events.
    pub writes: Writes,
    /// Seals their private halves.
    pub sealing: Arc<KeyRing>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes identifiers.
    pub randomness: Arc<dyn Randomness>,
}

impl Stores {
    /// For a command of the operator's.
    #[must_use]
    pub fn of_command(
        config: &StoresConfig,
        database: Database,
        (clock, randomness): (Arc<dyn Clock>, Arc<dyn Randomness>),
    ) -> Self {
        let writes = Writes::new(database.clone(), clock.clone(), randomness.clone(), KEPT_FOR);
        Self { database, writes, sealing: Arc::clone(&config.sealing_keys), clock, randomness }
    }
}

/// A key and when it is used.
#[derive(Debug)]
struct Key {
    known: Known,
    published: Value,
    pair: Arc<Pair>,
}

/// The keys as they were at one look.
#[derive(Debug)]
struct Ring {
    keys: Vec<Key>,
    /// The key set for others.
    published: Bytes,
    /// To verify what the issuer has signed itself, also with keys that others do not need any more.
    own: Arc<KeySet>,
    /// Names of those that do not open.
    closed: Vec<String>,
    looked_at: OffsetDateTime,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AgeLabels {
    algorithm: &'static str,
}

/// The keys of a process.
#[derive(Debug)]
pub struct Keys {
    stores: Stores,
    ring: RwLock<Option<Arc<Ring>>>,
    /// One looks at a time.
    looking: Mutex<()>,
    ages: Family<AgeLabels, Gauge>,
}

impl Keys {
    /// Nothing is looked at yet.
    #[must_use]
    pub fn new(stores: Stores) -> Self {
        Self { stores, ring: RwLock::default(), looking: Mutex::default(), ages: Family::default() }
    }

    /// Adds to the metrics how old the keys are that sign.
    pub fn register(&self, metrics: &Metrics) {
        let help = "Seconds since the key that signs began to";
        metrics.register(|registry| registry.register("signing_key_age_seconds", help, self.ages.clone()));
    }

    /// Looks at the keys every now and then, and makes the next ones in time. Never ends.
    pub async fn keep(&self) {
        loop {
            if let Err(problem) = self.look().await {
                tracing::warn!(
                    ?problem,
                    "the signing keys could not be looked at; those that are known sign on"
                );
            }
            self.note_ages();
            tokio::time::sleep(LOOKS).await;
        }
    }

    /// The key that signs now.
    ///
    /// # Errors
    /// The problem of the database, where the keys were never looked at.
    pub async fn signer(&self, algorithm: Algorithm) -> Result<Arc<Pair>, Problem> {
        let ring = self.ring().await?;
        let known = ring.keys.iter().map(|key| &key.known);
        let signs = plan::signs(known, algorithm, self.stores.clock.now());
        let key = ring.keys.iter().find(|key| Some(&key.known) == signs);
        key.map(|key| Arc::clone(&key.pair)).ok_or_else(|| unavailable("There is no key to sign with."))
    }

    /// Whether there is a key to sign with for each algorithm.
    ///
    /// # Errors
    /// What there is not.
    pub async fn check(&self) -> Result<(), String> {
        for algorithm in ALGORITHMS {
            self.signer(algorithm).await.map_err(|problem| {
                let name = algorithm.name();
                format!(
                    "no key signs with {name} ({}); see `identity keys rotate --now`",
                    problem.code().title
                )
            })?;
        }
        Ok(())
    }

    /// The key set as it is published.
    ///
    /// # Errors
    /// As [`Keys::signer`].
    pub async fn published(&self) -> Result<Bytes, Problem> {
        Ok(self.ring().await?.published.clone())
    }

    /// What verifies tokens that the issuer itself has signed.
    ///
    /// # Errors
    /// As [`Keys::signer`].
    pub async fn own(&self) -> Result<Arc<KeySet>, Problem> {
        Ok(Arc::clone(&self.ring().await?.own))
    }

    /// The same, after a token that none of the keys had signed: another process may have made one meanwhile.
    ///
    /// # Errors
    /// The problem of the database.
    pub async fn own_anew(&self) -> Result<Arc<KeySet>, Problem> {
        let ring = self.ring().await?;
        if self.stores.clock.now() - ring.looked_at >= LOOKS_AGAIN {
            self.look().await?;
        }
        self.own().await
    }

    /// Makes the next keys, though those that sign are not old yet. `at_once`, the new ones sign from now on and all others
    /// are forgotten: whoever has them can do nothing with them any more.
    ///
    /// # Errors
    /// The problem of the database.
    pub async fn rotate(&self, at_once: bool) -> Result<Vec<Shown>, Problem> {
        self.change(|known, now| {
            let steps = ALGORITHMS.iter().flat_map(|algorithm| {
                if at_once {
                    plan::replace(known, *algorithm, now)
                } else {
                    plan::advance(known, *algorithm, now)
                }
            });
            steps.collect()
        })
        .await?;
        self.look().await?;
        Ok(self.shown())
    }

    fn shown(&self) -> Vec<Shown> {
        let ring = self.kept();
        let keys = ring.iter().flat_map(|ring| &ring.keys).map(|key| Shown {
            id: key.known.id.clone(),
            algorithm: key.known.algorithm.name(),
            signs_from: key.known.signs_from,
            published_until: key.known.published_until,
        });
        keys.collect()
    }

    fn kept(&self) -> Option<Arc<Ring>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ring(&self) -> Result<Arc<Ring>, Problem> {
        if let Some(ring) = self.kept() {
            return Ok(ring);
        }
        self.look().await?;
        self.kept().ok_or_else(|| Problem::new(&codes::INTERNAL))
    }

    /// Looks at what there is, and makes what is missing or will be.
    async fn look(&self) -> Result<(), Problem> {
        let _alone = self.looking.lock().await;
        let due = |known: &[Known], now| {
            ALGORITHMS.iter().flat_map(|algorithm| plan::due(known, *algorithm, now)).collect::<Vec<_>>()
        };
        self.take(store::all(&self.stores.database).await?);
        if !due(&self.known(), self.stores.clock.now()).is_empty() {
            self.change(due).await?;
            self.take(store::all(&self.stores.database).await?);
        }
        Ok(())
    }

    /// Keeps in mind what there is.
    fn take(&self, rows: Vec<store::Stored>) {
        let before = self.kept();
        let (mut keys, mut closed) = (Vec::new(), Vec::new());
        for row in rows {
            match self.pair(&row, before.as_deref()) {
                Some(pair) => keys.push(Key { known: row.known, published: row.published, pair }),
                None => closed.push(row.known.id),
            }
        }
        let ring = Ring::of(keys, closed, self.stores.clock.now());
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ring));
    }

    /// What is known of those that open.
    fn known(&self) -> Vec<Known> {
        self.kept().iter().flat_map(|ring| &ring.keys).map(|key| key.known.clone()).collect()
    }

    /// Does what `plan` says of the keys that there are, alone among all processes.
    async fn change(&self, plan: impl Fn(&[Known], OffsetDateTime) -> Vec<Step>) -> Result<(), Problem> {
        let stores = &self.stores;
        let request_id = clock::new_id(&*stores.clock, &*stores.randomness).to_string();
        let origin = Origin::of_system(None, request_id);
        let mut unit = stores.writes.begin_without_key(&origin).await?;
        store::alone(&unit.transaction).await?;
        // Not when the write began: whoever waited for another process must not be earlier than what that has made.
        let now = stores.clock.now();
        let before = self.kept();
        let judge = |row: store::Stored| {
            let opens = self.pair(&row, before.as_deref()).is_some();
            Known { opens, ..row.known }
        };
        let rows = store::all_within(&unit.transaction).await?;
        let known: Vec<Known> = rows.into_iter().map(judge).collect();
        for step in plan(&known, now) {
            match step {
                Step::Make { algorithm, signs_from } => {
                    let pair = make(algorithm).await?;
                    let id = unit.new_id().to_string();
                    let sealed = pair.seal(&id, &stores.sealing, &*stores.randomness).map_err(internal)?;
                    let published = pair.published(&id);
                    let known = Known { id, algorithm, signs_from, published_until: None, opens: true };
                    unit.audit(Event::new("signing-key.create", "signing-key").of(&known.id));
                    store::insert_later(&mut unit.transaction, known, sealed, published, now);
                }
                Step::Retire { id, published_until } => {
                    unit.audit(Event::new("signing-key.retire", "signing-key").of(&id));
                    store::retire_later(&mut unit.transaction, id, published_until);
                }
                Step::Forget { id } => {
                    unit.audit(Event::new("signing-key.forget", "signing-key").of(&id));
                    store::forget_later(&mut unit.transaction, id);
                }
            }
        }
        unit.end(Ok(Answer::empty(axum::http::StatusCode::NO_CONTENT))).await.map(drop)
    }

    /// The key of a row, which stays what it is as long as it has the same name. One that does not open is not used, and
    /// others still are.
    fn pair(&self, row: &store::Stored, before: Option<&Ring>) -> Option<Arc<Pair>> {
        let id = &row.known.id;
        if let Some(kept) = before.and_then(|ring| ring.keys.iter().find(|key| key.known.id == *id)) {
            return Some(Arc::clone(&kept.pair));
        }
        match Pair::open(id, row.known.algorithm, &row.sealed, &self.stores.sealing) {
            Ok(pair) => Some(Arc::new(pair)),
            Err(error) => {
                if before.is_none_or(|ring| !ring.closed.contains(id)) {
                    tracing::error!(
                        %error,
                        key = id,
                        "a signing key cannot be opened, and another one signs in its place; put its sealing key back \
                         into SEALING_KEYS_FILE, or forget it with `identity keys rotate --now`"
                    );
                }
                None
            }
        }
    }

    fn note_ages(&self) {
        let Some(ring) = self.kept() else { return };
        let now = self.stores.clock.now();
        for algorithm in ALGORITHMS {
            let known = ring.keys.iter().map(|key| &key.known);
            if let Some(signs) = plan::signs(known, algorithm, now) {
                let labels = AgeLabels { algorithm: algorithm.name() };
                self.ages.get_or_create(&labels).set((now - signs.signs_from).whole_seconds());
            }
        }
    }
}

impl Ring {
    fn of(keys: Vec<Key>, closed: Vec<String>, now: OffsetDateTime) -> Self {
        let set = |keys: Vec<&Value>| json!({ "keys": keys });
        let published = keys.iter().filter(|key| key.known.is_published(now)).map(|key| &key.published);
        let published = Bytes::from(set(published.collect()).to_string());
        let own = set(keys.iter().map(|key| &key.published).collect());
        // What was just written as a key set can be read as one.
        let own = serde_json::from_value(own).map_or_else(|_| KeySet::of(none()), KeySet::of);
        Self { keys, published, own: Arc::new(own), closed, looked_at: now }
    }
}

fn none() -> foundation::jwt::Published {
    serde_json::from_str(r#"{"keys":[]}"#).expect("this is a key set")
}

/// A key as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// By which tokens name it.
    pub id: String,
    /// With what it signs.
    pub algorithm: &'static str,
    /// From when on.
    pub signs_from: OffsetDateTime,
    /// Until when it is published, where that is known.
    pub published_until: Option<OffsetDateTime>,
}

/// Making a key takes so long that nobody else should wait for the thread.
async fn make(algorithm: Algorithm) -> Result<Pair, Problem> {
    let made = tokio::task::spawn_blocking(move || Pair::make(algorithm)).await;
    made.map_err(|error| {
        tracing::error!(%error, "making a signing key broke off");
        Problem::new(&codes::INTERNAL)
    })?
    .map_err(internal)
}

fn internal(error: KeyError) -> Problem {
    tracing::error!(%error, "a signing key cannot be made");
    Problem::new(&codes::INTERNAL)
}
