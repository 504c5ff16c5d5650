//! The four on the loopback, each at a port of its own, as tests start them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use foundation::server;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fault::Fault;
use crate::people::Account;
use crate::provider::{Place, Provider};
use crate::registration::Registration;
use crate::world::World;
use crate::{apple, gate};

/// The four, running.
pub struct Providers {
    world: Arc<World>,
    tls: ServerConfig,
    name: String,
    ports: BTreeMap<Provider, u16>,
    running: BTreeMap<Provider, (oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Providers {
    /// Starts them on free ports of the loopback, which the certificate calls `name`.
    ///
    /// # Errors
    /// Where a port cannot be had.
    pub async fn start(tls: &ServerConfig, name: &str) -> io::Result<Self> {
        let (mut ports, mut listeners) = (BTreeMap::new(), Vec::new());
        for provider in Provider::ALL {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            ports.insert(provider, listener.local_addr()?.port());
            listeners.push((provider, listener));
        }
        let places =
            ports.iter().map(|(provider, port)| (*provider, Place::At(format!("https://{name}:{port}"))));
        let world = Arc::new(World::new(places.collect()));
        let running = BTreeMap::new();
        let mut providers = Self { world, tls: tls.clone(), name: name.to_owned(), ports, running };
        for (provider, listener) in listeners {
            providers.world.change(|state| state.make_keys(provider));
            providers.serve(provider, listener);
        }
        Ok(providers)
    }

    fn serve(&mut self, provider: Provider, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel::<()>();
        let router = gate::provider(&self.world, provider);
        let told = async {
            // Dropping the sender tells it, too.
            let _ = stopped.await;
        };
        let task = tokio::spawn(server::serve(listener, Some(self.tls.clone()), router, told));
        self.running.insert(provider, (stop, task));
    }

    /// Goes down: nothing listens any more.
    pub async fn stop(&mut self, provider: Provider) {
        if let Some((_, task)) = self.running.remove(&provider) {
            task.abort();
            // It ends by being told to, or by being given up.
            let _ = task.await;
        }
    }

    /// Comes up again, where it was.
    ///
    /// # Errors
    /// Where somebody else has its port now.
    pub async fn start_again(&mut self, provider: Provider) -> io::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port(provider))).await?;
        self.serve(provider, listener);
        Ok(())
    }

    /// Where one listens on the loopback.
    #[must_use]
    pub fn port(&self, provider: Provider) -> u16 {
        self.ports.get(&provider).copied().unwrap_or_default()
    }

    /// Where one is, without a slash at its end.
    #[must_use]
    pub fn origin(&self, provider: Provider) -> String {
        format!("https://{}:{}", self.name, self.port(provider))
    }

    /// Knows a client from now on.
    pub fn register(&self, provider: Provider, registration: Registration) {
        self.world.change(|state| state.service(provider).registrations.push(registration));
    }

    /// Whoever comes next is this person, without being asked; nobody, to ask again.
    pub fn awaits(&self, provider: Provider, person: Option<&str>) {
        self.world.change(|state| state.service(provider).awaited = person.map(ToOwned::to_owned));
    }

    /// Does this wrong from now on; nothing, to do everything right again.
    pub fn does_wrong(&self, provider: Provider, fault: Option<Fault>) {
        self.world.change(|state| state.service(provider).fault = fault);
    }

    /// Somebody's account.
    #[must_use]
    pub fn account(&self, provider: Provider, person: &str) -> Account {
        self.world.change(|state| state.account(provider, person))
    }

    /// Changes members of somebody's account.
    ///
    /// # Errors
    /// Where there is no such member, or it has another type.
    pub fn change(&self, provider: Provider, person: &str, members: &Value) -> Result<(), serde_json::Error> {
        let members = serde_json::from_value(members.clone())?;
        self.world.change(|state| {
            let changed = state.account(provider, person).changed(&members)?;
            state.put_account(provider, person, changed);
            Ok(())
        })
    }

    /// Takes back everything that was handed out in somebody's name.
    pub fn forgets(&self, provider: Provider, person: &str) {
        self.world.change(|state| state.service(provider).forget(person));
    }

    /// Deletes somebody's account. Whoever signs in under that name afterwards is somebody else.
    pub fn delete(&self, provider: Provider, person: &str) {
        self.world.change(|state| state.delete_account(provider, person));
    }

    /// The body by which Apple tells a client of one of its people, such as `account-delete`.
    #[must_use]
    pub fn notification(&self, client_id: &str, person: &str, kind: &str) -> String {
        self.world.change(|state| apple::notification(state, client_id, person, kind))
    }

    /// A token with these claims, signed by a provider.
    #[must_use]
    pub fn signed(&self, provider: Provider, claims: &Value) -> String {
        let issuer = claims["iss"].as_str().unwrap_or_default();
        self.world.change(|state| state.signing_key(provider, issuer).token(claims))
    }

    /// Signs with a new key from now on. The old one stays published.
    pub fn rotates_keys(&self, provider: Provider) {
        self.world.change(|state| state.rotate_keys(provider));
    }

    /// How often a path of one of them was asked for.
    #[must_use]
    pub fn asked_for(&self, provider: Provider, path: &str) -> usize {
        self.world.change(|state| state.service(provider).asked.get(path).copied().unwrap_or_default())
    }

    /// Lets the world's clock be so many seconds ahead of the machine's, or behind it.
    pub fn sets_clock(&self, seconds: i64) {
        self.world.change(|state| state.ahead = time::Duration::seconds(seconds));
    }

    /// Lets time pass in the world.
    pub fn advance(&self, by: Duration) {
        self.world.change(|state| state.ahead += by);
    }
}
