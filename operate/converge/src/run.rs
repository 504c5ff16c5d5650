//! A run over many hosts at once: what is asked of each, what came of it.

use crate::difference::Difference;
use crate::protocol::{Event, Mode};
use crate::resource::{Resource, ResourceId};
use crate::session::{self, AgentBinary, Session, SessionError};
use crate::ssh::SshConfig;
use bastide_platform::{Host, Platform};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Bytes that hosts may ask for, by the hexadecimal SHA-256 of each.
pub type Blobs = BTreeMap<String, Arc<Vec<u8>>>;

/// Hears what happens while it happens.
pub trait Progress: Send + Sync {
    /// `resource` of `host` changed its status.
    fn resource(&self, host: &str, position: usize, of: usize, resource: &Resource, status: Status<'_>);
}

/// What is happening to a resource.
#[derive(Debug, Clone, Copy)]
pub enum Status<'a> {
    /// It is as asked.
    Same,
    /// It differs.
    Differs(&'a Difference),
    /// It is being changed.
    Changing,
    /// It was changed, in this many milliseconds.
    Changed(u64),
    /// It failed.
    Failed(&'a str),
}

/// A resource that differs, or differed.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which.
    pub resource: ResourceId,
    /// The component that asked for it.
    pub component: String,
    /// How it differed.
    pub difference: Difference,
    /// Milliseconds that the change took; none where nothing was changed.
    pub milliseconds: Option<u64>,
}

/// What failed on a host.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The resource; none where the host itself could not be worked with.
    pub resource: Option<ResourceId>,
    /// What was attempted, why it failed and what to do.
    pub error: String,
}

/// What came of one host.
#[derive(Debug, Clone)]
pub struct HostOutcome {
    /// Its name.
    pub host: String,
    /// Resources that were asked for.
    pub resources: usize,
    /// Those that differ, or differed and were changed.
    pub changes: Vec<Change>,
    /// What went wrong; later resources were not touched.
    pub failure: Option<Failure>,
    /// Seconds from asking to knowing.
    pub seconds: f64,
}

impl HostOutcome {
    /// Resources that were changed.
    pub fn changed(&self) -> usize {
        self.changes.iter().filter(|change| change.milliseconds.is_some()).count()
    }
}

/// Adds what a later request did to every host to what earlier ones did.
pub fn absorb(totals: &mut Vec<HostOutcome>, later: Vec<HostOutcome>) {
    for outcome in later {
        match totals.iter_mut().find(|total| total.host == outcome.host) {
            None => totals.push(outcome),
            Some(total) => {
                total.resources = outcome.resources;
                total.changes.extend(outcome.changes);
                total.failure = outcome.failure;
                total.seconds += outcome.seconds;
            }
        }
    }
}

/// Connections to the hosts of a platform.
pub struct Fleet {
    config: SshConfig,
    agent: AgentBinary,
    users: BTreeMap<String, String>,
    sessions: BTreeMap<String, Result<Arc<Session>, SessionError>>,
}

impl Fleet {
    /// Connects to every host: to the edge first, because the others are reached through it.
    pub async fn connect(platform: &Platform, config: SshConfig, agent: AgentBinary) -> Self {
        let users: BTreeMap<String, String> =
            platform.hosts.iter().map(|host| (host.name.to_string(), host.ssh.user.clone())).collect();
        let mut fleet = Self { config, agent, users, sessions: BTreeMap::new() };
        let edge = platform.edge();
        let opened = open(&fleet.config, edge, &fleet.agent).await;
        let lost = opened.is_err();
        fleet.sessions.insert(edge.name.to_string(), opened);
        let others = platform.hosts.iter().filter(|host| host.name != edge.name);
        if lost {
            let error = SessionError::Connect(format!("not tried: the way there is through {}", edge.name));
            fleet.sessions.extend(others.map(|host| (host.name.to_string(), Err(error.clone()))));
            return fleet;
        }
        fleet.connect_all(others.collect()).await;
        fleet
    }

    async fn connect_all(&mut self, hosts: Vec<&Host>) {
        let mut opening = JoinSet::new();
        for host in hosts {
            let (config, agent) = (self.config.clone(), self.agent.clone());
            let host = host.clone();
            opening.spawn(async move { (host.name.to_string(), open(&config, &host, &agent).await) });
        }
        while let Some(opened) = opening.join_next().await {
            if let Ok((name, session)) = opened {
                self.sessions.insert(name, session);
            }
        }
    }

    /// The session with `host`, or why there is none.
    pub fn session(&self, host: &str) -> Result<&Arc<Session>, SessionError> {
        match self.sessions.get(host) {
            Some(Ok(session)) => Ok(session),
            Some(Err(error)) => Err(error.clone()),
            None => Err(SessionError::Connect(format!("there is no host {host} in this platform"))),
        }
    }

    /// Every host with its session, or why there is none.
    pub fn sessions(&self) -> impl Iterator<Item = (&str, &Result<Arc<Session>, SessionError>)> {
        self.sessions.iter().map(|(name, session)| (name.as_str(), session))
    }

    /// Takes the lock of every connected host; a host whose lock is taken counts as unusable.
    pub async fn lock(&mut self, holder: &str) {
        for session in self.sessions.values_mut() {
            if let Ok(open) = session
                && let Err(error) = open.lock(holder).await
            {
                *session = Err(error);
            }
        }
    }

    /// Converges all hosts at the same time. A failed host does not stop the others.
    pub async fn converge(
        &self,
        mode: Mode,
        plans: Vec<(String, Vec<Resource>)>,
        blobs: &Arc<Blobs>,
        progress: &Arc<dyn Progress>,
    ) -> Vec<HostOutcome> {
        let mut running = JoinSet::new();
        for (host, resources) in plans {
            let user = self.users.get(&host).cloned().unwrap_or_default();
            let work = HostRun {
                session: self.session(&host).cloned(),
                confirm: (self.config.clone(), user, self.agent.clone()),
                outcome: HostOutcome {
                    host,
                    resources: resources.len(),
                    changes: vec![],
                    failure: None,
                    seconds: 0.0,
                },
                resources,
                blobs: Arc::clone(blobs),
                progress: Arc::clone(progress),
            };
            running.spawn(work.run(mode));
        }
        let mut outcomes = running.join_all().await;
        outcomes.sort_by(|a, b| a.host.cmp(&b.host));
        outcomes
    }
}

/// Connects to `host`, and refuses it where it runs another system than the platform file says.
async fn open(config: &SshConfig, host: &Host, agent: &AgentBinary) -> Result<Arc<Session>, SessionError> {
    let session = Session::open(config, host.name.as_str(), &host.ssh.user, agent).await?;
    let found = &session.greeting;
    if found.os_codename == host.os.codename() {
        return Ok(Arc::new(session));
    }
    Err(SessionError::Connect(format!(
        "{} runs {} {} ({}), and the platform file says {}: nothing was touched; correct `os`, or install what it says",
        host.name, found.os_id, found.os_version, found.os_codename, host.os,
    )))
}

struct HostRun {
    session: Result<Arc<Session>, SessionError>,
    confirm: (SshConfig, String, AgentBinary),
    resources: Vec<Resource>,
    blobs: Arc<Blobs>,
    progress: Arc<dyn Progress>,
    outcome: HostOutcome,
}

impl HostRun {
    async fn run(mut self, mode: Mode) -> HostOutcome {
        let started = Instant::now();
        if let Err(error) = self.converge(mode).await {
            self.outcome.failure = Some(Failure { resource: None, error: error.to_string() });
        }
        self.outcome.seconds = started.elapsed().as_secs_f64();
        self.outcome
    }

    async fn converge(&mut self, mode: Mode) -> Result<(), SessionError> {
        let session = Arc::clone(self.session.as_ref().map_err(Clone::clone)?);
        session.converge(mode, self.resources.clone()).await?;
        loop {
            match session.event().await? {
                Event::Finished { .. } => return Ok(()),
                Event::NeedBlob { sha256 } => {
                    let missing = || SessionError::Connect(format!("blob {sha256} is not part of this run"));
                    let bytes = self.blobs.get(&sha256).cloned().ok_or_else(missing)?;
                    session.send_blob(&bytes).await?;
                }
                Event::ConfirmNeeded { token } => self.confirm(&token).await,
                event => self.note(event),
            }
        }
    }

    /// Confirms a guarded change. A failure is not ours to report: the agent sees no confirmation and reverts.
    async fn confirm(&self, token: &str) {
        let (config, user, agent) = &self.confirm;
        if session::confirm(config, &self.outcome.host, user, agent, token).await.is_err() {
            // Once more: the first packet after new rules may be lost without the rules being wrong.
            let _reverted = session::confirm(config, &self.outcome.host, user, agent, token).await;
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Observed { index, difference: None } => self.tell(index, Status::Same),
            Event::Observed { index, difference: Some(difference) } => {
                self.tell(index, Status::Differs(&difference));
                if let Some(resource) = self.resources.get(index) {
                    self.outcome.changes.push(Change {
                        resource: resource.id(),
                        component: resource.component.clone(),
                        difference,
                        milliseconds: None,
                    });
                }
            }
            Event::Changing { index } => self.tell(index, Status::Changing),
            Event::Changed { index, milliseconds } => {
                self.tell(index, Status::Changed(milliseconds));
                if let Some(change) = self.outcome.changes.last_mut() {
                    change.milliseconds = Some(milliseconds);
                }
            }
            Event::Failed { index, resource, error } => {
                self.tell(index, Status::Failed(&error));
                self.outcome.failure = Some(Failure { resource: Some(resource), error });
            }
            _ => {}
        }
    }

    fn tell(&self, index: usize, status: Status<'_>) {
        if let Some(resource) = self.resources.get(index) {
            self.progress.resource(&self.outcome.host, index + 1, self.resources.len(), resource, status);
        }
    }
}
