//! What the four share: the people, the time, and what each has handed out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foundation::clock::{Clock as _, SystemClock};
use serde::Serialize;
use time::OffsetDateTime;

use crate::fault::Fault;
use crate::keys::{Key, random};
use crate::microsoft;
use crate::people::Account;
use crate::provider::{Place, Provider};
use crate::registration::Registration;

/// A code is worth nothing after this long.
const CODE_LASTS: Duration = Duration::from_secs(600);

/// Requests that a provider's log keeps: more than anybody makes while somebody looks.
const LOG_KEPT: usize = 4096;

/// Everything, behind one lock: nothing here waits.
pub(crate) struct World(Mutex<State>);

impl World {
    pub(crate) fn new(places: BTreeMap<Provider, Place>) -> Self {
        let services = Provider::ALL.map(|provider| (provider, Service::default()));
        Self(Mutex::new(State {
            ahead: time::Duration::ZERO,
            places,
            accounts: BTreeMap::new(),
            deleted: BTreeMap::new(),
            services: BTreeMap::from(services),
        }))
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) struct State {
    /// How far the world's clock is ahead of the machine's, or behind it.
    pub(crate) ahead: time::Duration,
    places: BTreeMap<Provider, Place>,
    accounts: BTreeMap<(Provider, String), Account>,
    /// How many accounts of somebody were deleted.
    deleted: BTreeMap<(Provider, String), u32>,
    services: BTreeMap<Provider, Service>,
}

impl State {
    pub(crate) fn now(&self) -> OffsetDateTime {
        SystemClock.now() + self.ahead
    }

    /// The origin of one of a provider's hosts.
    pub(crate) fn origin(&self, provider: Provider, host: &str) -> String {
        self.places.get(&provider).unwrap_or(&Place::World).origin(host)
    }

    /// Whoever comes next is signed in already, from now on; nobody, to ask again.
    pub(crate) fn await_person(&mut self, provider: Provider, person: Option<String>) {
        let now = self.now();
        self.service(provider).awaited = person.map(|person| (person, now));
    }

    pub(crate) fn service(&mut self, provider: Provider) -> &mut Service {
        self.services.entry(provider).or_default()
    }

    /// Somebody's account, made when it is needed first.
    pub(crate) fn account(&mut self, provider: Provider, person: &str) -> Account {
        let key = (provider, person.to_owned());
        let nth = self.deleted.get(&key).copied().unwrap_or_default();
        self.accounts.entry(key).or_insert_with(|| Account::new(provider, person, nth)).clone()
    }

    pub(crate) fn put_account(&mut self, provider: Provider, person: &str, account: Account) {
        self.accounts.insert((provider, person.to_owned()), account);
    }

    /// Deletes somebody's account with everything that was handed out on it.
    pub(crate) fn delete_account(&mut self, provider: Provider, person: &str) {
        let key = (provider, person.to_owned());
        self.accounts.remove(&key);
        *self.deleted.entry(key).or_default() += 1;
        self.service(provider).forget(person);
    }

    /// The key that signs for `issuer`, which was made when it was needed first.
    pub(crate) fn signing_key(&mut self, provider: Provider, issuer: &str) -> &Key {
        self.make_keys(provider);
        let keys = &self.service(provider).keys;
        let own = keys.iter().rfind(|key| key.issuer() == Some(issuer));
        let general = || keys.iter().rfind(|key| key.is_general());
        own.or_else(general).expect("keys were made just now")
    }

    /// The keys that are published.
    pub(crate) fn keys(&mut self, provider: Provider) -> &[Key] {
        self.make_keys(provider);
        &self.service(provider).keys
    }

    /// Signs with a new key from now on. The old one stays published.
    pub(crate) fn rotate_keys(&mut self, provider: Provider) {
        self.make_keys(provider);
        let name = format!("{}-{}", provider.as_str(), self.service(provider).keys.len() + 1);
        let key = match provider {
            Provider::Microsoft => Key::for_issuer(&name, microsoft::template(self)),
            _ => Key::new(&name),
        };
        self.service(provider).keys.push(key);
    }

    /// Makes the keys that it does not have yet.
    pub(crate) fn make_keys(&mut self, provider: Provider) {
        if !self.service(provider).keys.is_empty() {
            return;
        }
        let keys = match provider {
            Provider::Microsoft => microsoft::keys_of(self),
            _ => vec![Key::new(&format!("{}-1", provider.as_str()))],
        };
        self.service(provider).keys = keys;
    }
}

/// What one provider knows.
#[derive(Default)]
pub(crate) struct Service {
    pub(crate) registrations: Vec<Registration>,
    /// Who comes next and is signed in already, since when.
    pub(crate) awaited: Option<(String, OffsetDateTime)>,
    pub(crate) fault: Option<Fault>,
    /// The last one that fits signs; all are published.
    keys: Vec<Key>,
    codes: BTreeMap<String, (Code, OffsetDateTime)>,
    access: BTreeMap<String, (Grant, OffsetDateTime)>,
    refresh: BTreeMap<String, Grant>,
    /// Clients that somebody has let know something, with the scopes.
    consents: BTreeSet<(String, String)>,
    /// How often each path was asked for.
    pub(crate) asked: BTreeMap<String, usize>,
    /// The latest requests, the oldest first.
    log: VecDeque<Asked>,
}

/// A request, as a provider's log has it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Asked {
    /// Where the connection came from.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) method: String,
    pub(crate) path: String,
}

/// What somebody has let a client have.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) person: String,
    pub(crate) scope: String,
}

impl Grant {
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|each| each == scope)
    }
}

/// What a code stands for.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<String>,
    /// When the person has signed in, where the client wants to know.
    pub(crate) auth_time: Option<i64>,
    /// Whether the client may go on while the person is away.
    pub(crate) is_offline: bool,
}

impl Service {
    /// Counts a request and writes it down.
    pub(crate) fn note(&mut self, asked: Asked) {
        *self.asked.entry(asked.path.clone()).or_default() += 1;
        if self.log.len() == LOG_KEPT {
            self.log.pop_front();
        }
        self.log.push_back(asked);
    }

    pub(crate) fn log(&self) -> impl Iterator<Item = &Asked> {
        self.log.iter()
    }

    pub(crate) fn registration(&self, client_id: &str) -> Option<&Registration> {
        self.registrations.iter().find(|registration| registration.client_id == client_id)
    }

    pub(crate) fn hand_out_code(&mut self, code: Code, now: OffsetDateTime) -> String {
        let name = random();
        self.codes.insert(name.clone(), (code, now + CODE_LASTS));
        name
    }

    /// What a code stands for. Whatever comes of it, the code is used up.
    pub(crate) fn take_code(&mut self, name: &str, now: OffsetDateTime) -> Option<Code> {
        self.codes.remove(name).filter(|(_, ends)| now < *ends).map(|(code, _)| code)
    }

    pub(crate) fn hand_out_access(&mut self, prefix: &str, grant: &Grant, ends: OffsetDateTime) -> String {
        let token = format!("{prefix}{}", random());
        self.access.insert(token.clone(), (grant.clone(), ends));
        token
    }

    /// What an access token lets have.
    pub(crate) fn access(&self, token: &str, now: OffsetDateTime) -> Option<&Grant> {
        self.access.get(token).filter(|(_, ends)| now < *ends).map(|(grant, _)| grant)
    }

    pub(crate) fn hand_out_refresh(&mut self, prefix: &str, grant: &Grant) -> String {
        let token = format!("{prefix}{}", random());
        self.refresh.insert(token.clone(), grant.clone());
        token
    }

    pub(crate) fn refresh(&self, token: &str) -> Option<&Grant> {
        self.refresh.get(token)
    }

    /// What a refresh token lets have, for the last time.
    pub(crate) fn take_refresh(&mut self, token: &str) -> Option<Grant> {
        self.refresh.remove(token)
    }

    /// Whether somebody lets this client know something for the first time.
    pub(crate) fn consents_first(&mut self, client_id: &str, person: &str) -> bool {
        self.consents.insert((client_id.to_owned(), person.to_owned()))
    }

    /// Takes back everything that was handed out in somebody's name.
    pub(crate) fn forget(&mut self, person: &str) {
        self.access.retain(|_, (grant, _)| grant.person != person);
        self.refresh.retain(|_, grant| grant.person != person);
        self.codes.retain(|_, (code, _)| code.grant.person != person);
        self.consents.retain(|(_, somebody)| somebody != person);
    }
}
