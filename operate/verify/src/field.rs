//! The field: the platform as checks see it, and every place from which they can probe it.

use crate::place::{Place, ProbeError, Vantage};
use crate::probe::{
    Addresses, Attempt, Command, CommandOutcome, Connect, Finding, Http, HttpAnswer, InterfaceAddress,
    ListenBriefly, Listening, Postgres, PostgresSession, Probe, Reach, Scan, Scanned, Socket, Tls,
    TlsSession, Trust, Udp, UdpReach, Valkey, ValkeySession, Visits,
};
use crate::reachability::{Traffic, survey};
use bastide_platform::{Allowed, Flow, Platform};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// How the platform's public name is reached.
#[derive(Debug, Clone)]
pub struct Front {
    /// Address that the name resolves to for people: the CDN's, or the edge's where there is no CDN.
    pub address: IpAddr,
    /// Authorities by which the certificate shown there is judged.
    pub trust: Trust,
    /// Authorities by which the certificate of the edge itself is judged.
    pub origin_trust: Trust,
}

/// All that checks may use: the platform, what it allows, and the places to probe from.
pub struct Field {
    /// The platform.
    pub platform: Arc<Platform>,
    /// Its flows.
    pub flows: Vec<Flow>,
    /// The flows as addresses: exactly the traffic that may pass.
    pub allowed: Vec<Allowed>,
    /// How its public name is reached.
    pub front: Front,
    /// The operator's OpenSSH configuration, in which the hosts go by their names; for checks of the way in.
    pub ssh_config: Option<PathBuf>,
    places: BTreeMap<Vantage, Arc<dyn Place>>,
    absent: BTreeMap<Vantage, String>,
    traffic: OnceCell<Arc<Traffic>>,
}

impl Field {
    /// A field without places; see [`Field::with`].
    pub fn new(platform: Arc<Platform>, flows: Vec<Flow>, front: Front) -> Self {
        let allowed = platform.allowed(&flows);
        Self {
            platform,
            flows,
            allowed,
            front,
            ssh_config: None,
            places: BTreeMap::new(),
            absent: BTreeMap::new(),
            traffic: OnceCell::new(),
        }
    }

    /// Lets checks probe from `vantage`.
    #[must_use]
    pub fn with(mut self, vantage: Vantage, place: Arc<dyn Place>) -> Self {
        self.absent.remove(&vantage);
        self.places.insert(vantage, place);
        self
    }

    /// Says why nobody can probe from `vantage`; its checks are skipped with that reason.
    #[must_use]
    pub fn without(mut self, vantage: Vantage, reason: &str) -> Self {
        self.places.remove(&vantage);
        self.absent.insert(vantage, reason.to_owned());
        self
    }

    /// Places that checks can probe from.
    pub fn vantages(&self) -> impl Iterator<Item = &Vantage> {
        self.places.keys()
    }

    /// Whether anybody can probe from `vantage`.
    pub fn has(&self, vantage: &Vantage) -> bool {
        self.places.contains_key(vantage)
    }

    /// Measures all traffic between the places, once; everybody who asks gets the same answer.
    pub async fn traffic(&self) -> Arc<Traffic> {
        self.traffic.get_or_init(|| async { Arc::new(survey(self).await) }).await.clone()
    }

    /// The traffic as measured, if any check has asked for it.
    pub fn measured_traffic(&self) -> Option<Arc<Traffic>> {
        self.traffic.get().cloned()
    }

    /// Makes `probe` at `vantage`.
    pub async fn probe(&self, vantage: &Vantage, probe: Probe) -> Result<Finding, ProbeError> {
        let Some(place) = self.places.get(vantage) else {
            let reason = self.absent.get(vantage).map_or("no place to probe from there", String::as_str);
            return Err(ProbeError::Impossible(format!("from {vantage}: {reason}")));
        };
        place.probe(probe).await.map_err(|error| match error {
            ProbeError::Impossible(reason) => ProbeError::Impossible(format!("from {vantage}: {reason}")),
            ProbeError::Broken(reason) => ProbeError::Broken(format!("from {vantage}: {reason}")),
        })
    }
}

/// One method a kind of probe: it wraps the probe and takes its finding out again.
macro_rules! probes {
    ($($(#[$doc:meta])* $method:ident: $probe:ident -> $finding:ident($outcome:ty);)*) => {
        impl Field {
            $($(#[$doc])*
            pub async fn $method(&self, vantage: &Vantage, probe: $probe) -> Result<$outcome, ProbeError> {
                match self.probe(vantage, Probe::$probe(probe)).await? {
                    Finding::$finding(outcome) => Ok(outcome),
                    other => Err(ProbeError::broken(
                        format_args!(concat!("a probe of kind ", stringify!($probe), " from {}"), vantage),
                        format_args!("the place answered with a finding of another kind ({})", other.kind()),
                    )),
                }
            })*
        }
    };
}

probes! {
    /// Opens TCP connections and closes them again; one answer a target, in their order.
    connect_all: Connect -> Connect(Vec<Reach>);
    /// Scans a range of TCP ports of one address.
    scan: Scan -> Scan(Scanned);
    /// Sends datagrams; one answer a target, in their order.
    udp: Udp -> Udp(Vec<UdpReach>);
    /// Listens for a while on ports that nobody else listens on, and says who came.
    listen_briefly: ListenBriefly -> ListenBriefly(Visits);
    /// Sockets that accept traffic on the host.
    listening_sockets: Listening -> Listening(Vec<Socket>);
    /// Addresses of the host's interfaces.
    interface_addresses: Addresses -> Addresses(Vec<InterfaceAddress>);
    /// Shakes hands in TLS.
    tls: Tls -> Tls(Attempt<TlsSession>);
    /// Makes one HTTP request; redirects are not followed.
    http: Http -> Http(Attempt<HttpAnswer>);
    /// Speaks to PostgreSQL or PgBouncer.
    postgres: Postgres -> Postgres(Attempt<PostgresSession>);
    /// Speaks to Valkey.
    valkey: Valkey -> Valkey(Attempt<ValkeySession>);
    /// Runs a program.
    run: Command -> Command(CommandOutcome);
}

impl Field {
    /// Opens one TCP connection and closes it again.
    pub async fn connect(&self, vantage: &Vantage, address: IpAddr, port: u16) -> Result<Reach, ProbeError> {
        let mut reaches = self.connect_all(vantage, Connect::to(vec![(address, port)])).await?;
        reaches.pop().ok_or_else(|| ProbeError::broken("opening a TCP connection", "no answer came back"))
    }

    /// Runs a program on the host named `host`, with this argument list.
    pub async fn command(&self, host: &str, argv: &[&str]) -> Result<CommandOutcome, ProbeError> {
        self.run(&Vantage::host(host), Command::new(argv)).await
    }

    /// Sockets that accept traffic on the host named `host`.
    pub async fn listening(&self, host: &str) -> Result<Vec<Socket>, ProbeError> {
        self.listening_sockets(&Vantage::host(host), Listening {}).await
    }

    /// Addresses of the interfaces of the host named `host`.
    pub async fn addresses(&self, host: &str) -> Result<Vec<InterfaceAddress>, ProbeError> {
        self.interface_addresses(&Vantage::host(host), Addresses {}).await
    }
}
