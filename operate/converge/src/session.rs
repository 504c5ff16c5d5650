//! A session: one SSH connection to one host, with the agent at its end.

use crate::protocol::{self, Event, Frame, Greeting, HEARTBEAT, Mode, Request};
use crate::resource::Resource;
use crate::ssh::{self, SshConfig};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

/// How long a host may take from the first packet to the agent's first word.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The program that runs on the hosts: this very binary.
#[derive(Debug, Clone)]
pub struct AgentBinary {
    bytes: Arc<Vec<u8>>,
    /// SHA-256, hexadecimal; names it on the hosts.
    hash: String,
}

impl AgentBinary {
    /// The running program.
    pub fn current() -> io::Result<Self> {
        let bytes = std::fs::read("/proc/self/exe")?;
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { bytes: Arc::new(bytes), hash })
    }
}

/// Why a host cannot be worked with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// No connection, or no agent at its end.
    #[error("{0}")]
    Connect(String),
    /// Another operator holds the lock.
    #[error(
        "{host} is being changed by {holder}; wait until that run ends (a lost one frees the lock in 30 s)"
    )]
    Locked {
        /// The host.
        host: String,
        /// Who, and since when.
        holder: String,
    },
    /// The connection ended in the middle.
    #[error("the connection to {host} was lost: {reason}; what was done is done, run the same command again")]
    Lost {
        /// The host.
        host: String,
        /// What is known.
        reason: String,
    },
}

type Answers = Arc<Mutex<BTreeMap<u64, oneshot::Sender<serde_json::Value>>>>;

/// A host with its agent.
#[derive(Debug)]
pub struct Session {
    host: String,
    /// What the agent said of its host.
    pub greeting: Greeting,
    writer: Arc<AsyncMutex<ChildStdin>>,
    events: AsyncMutex<mpsc::UnboundedReceiver<Event>>,
    answers: Answers,
    next_call: AtomicU64,
    _child: Child,
}

impl Session {
    /// Connects to `host`, sends the agent if the host lacks it, and waits for its first word.
    pub async fn open(
        config: &SshConfig,
        host: &str,
        user: &str,
        agent: &AgentBinary,
    ) -> Result<Self, SessionError> {
        let connecting = Self::connect(config, host, user, agent);
        tokio::time::timeout(READY_WITHIN, connecting).await.unwrap_or_else(|_| {
            let seconds = READY_WITHIN.as_secs();
            Err(SessionError::Connect(format!("connect to {host}: no agent answered within {seconds} s")))
        })
    }

    async fn connect(
        config: &SshConfig,
        host: &str,
        user: &str,
        agent: &AgentBinary,
    ) -> Result<Self, SessionError> {
        let refused =
            |error: io::Error| SessionError::Connect(format!("connect to {host}: start ssh: {error}"));
        let mut child = Command::new("ssh")
            .arg("-F")
            .arg(config.path())
            .args(["-T", host])
            .arg(bootstrap(user, agent))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(refused)?;
        let pipes = child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take());
        let ((mut stdin, stdout), stderr) =
            pipes.ok_or_else(|| SessionError::Connect(format!("connect to {host}: ssh has no pipes")))?;
        let mut stdout = BufReader::new(stdout);
        let greeting = match greet(&mut stdin, &mut stdout, agent).await {
            Ok(greeting) => greeting,
            Err(error) => return Err(SessionError::Connect(why(host, error, stderr).await)),
        };
        let answers = Answers::default();
        let (sender, events) = mpsc::unbounded_channel();
        tokio::spawn(read_events(stdout, stderr, sender, Arc::clone(&answers)));
        let writer = Arc::new(AsyncMutex::new(stdin));
        tokio::spawn(keep_alive(Arc::clone(&writer)));
        Ok(Self {
            host: host.to_owned(),
            greeting,
            writer,
            events: AsyncMutex::new(events),
            answers,
            next_call: AtomicU64::new(1),
            _child: child,
        })
    }

    /// Takes the host's lock for `holder`; it is free again when this session ends.
    pub async fn lock(&self, holder: &str) -> Result<(), SessionError> {
        self.send(&Request::Lock { holder: holder.to_owned() }).await?;
        match self.event().await? {
            Event::Locked => Ok(()),
            Event::LockedByOther { holder } => Err(SessionError::Locked { host: self.host.clone(), holder }),
            other => Err(self.lost(format!("unexpected answer {other:?}"))),
        }
    }

    /// Starts to converge; the events follow by [`Session::event`] until [`Event::Finished`].
    pub async fn converge(&self, mode: Mode, resources: Vec<Resource>) -> Result<(), SessionError> {
        self.send(&Request::Converge { mode, resources }).await
    }

    /// The next event of what was asked last.
    pub async fn event(&self) -> Result<Event, SessionError> {
        let event = self.events.lock().await.recv().await;
        match event {
            Some(Event::Broken { reason }) => Err(self.lost(reason)),
            Some(event) => Ok(event),
            None => Err(self.lost("ssh ended".to_owned())),
        }
    }

    /// Sends the bytes that [`Event::NeedBlob`] asked for.
    pub async fn send_blob(&self, bytes: &[u8]) -> Result<(), SessionError> {
        self.send(&Request::Blob).await?;
        let mut writer = self.writer.lock().await;
        write_frame(&mut writer, Frame::Blob(bytes.to_vec()))
            .await
            .map_err(|error| self.lost(error.to_string()))
    }

    /// Asks the agent's extension; many calls may be under way at once.
    pub async fn call(&self, payload: serde_json::Value) -> Result<serde_json::Value, SessionError> {
        let id = self.next_call.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        if let Ok(mut answers) = self.answers.lock() {
            answers.insert(id, sender);
        }
        self.send(&Request::Call { id, payload }).await?;
        receiver.await.map_err(|_| self.lost("ssh ended".to_owned()))
    }

    async fn send(&self, request: &Request) -> Result<(), SessionError> {
        let json = serde_json::to_vec(request).map_err(|error| self.lost(error.to_string()))?;
        let mut writer = self.writer.lock().await;
        write_frame(&mut writer, Frame::Message(json)).await.map_err(|error| self.lost(error.to_string()))
    }

    fn lost(&self, reason: String) -> SessionError {
        SessionError::Lost { host: self.host.clone(), reason }
    }
}

/// Confirms a guarded change through a connection that shares nothing with the session's.
pub async fn confirm(
    config: &SshConfig,
    host: &str,
    user: &str,
    agent: &AgentBinary,
    token: &str,
) -> io::Result<()> {
    let confirm = format!("{} agent confirm {token}", agent_path(agent));
    let output = Command::new("ssh")
        .arg("-F")
        .arg(config.path())
        .args(["-T", "-o", "ControlPath=none", "-o", "ControlMaster=no", host])
        .arg(as_root(user, &confirm))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(ssh::explain(host, &String::from_utf8_lossy(&output.stderr))))
}

fn agent_path(agent: &AgentBinary) -> String {
    format!("/var/lib/bastide/agent/{}", agent.hash)
}

/// Runs `command` as root: as it is for root, by `sudo -n` for anybody else.
fn as_root(user: &str, command: &str) -> String {
    if user == "root" { command.to_owned() } else { format!("sudo -n {command}") }
}

const MISSING: &str = "bastide-agent-missing";
const PRESENT: &str = "bastide-agent-present";

/// Shell script that receives the agent where the host lacks it, checks it, and becomes it.
///
/// The binary goes to a name made of its hash, by a rename: an interrupted transfer leaves no agent behind.
fn bootstrap(user: &str, agent: &AgentBinary) -> String {
    let path = agent_path(agent);
    let (size, hash) = (agent.bytes.len(), &agent.hash);
    let script = format!(
        "set -e; if [ -x {path} ]; then echo {PRESENT}; else echo {MISSING} $(uname -m); umask 077; \
         mkdir -p /var/lib/bastide/agent; t={path}.$$; trap \"rm -f $t\" EXIT; \
         head -c {size} >$t; echo \"{hash}  $t\" | sha256sum --check --status; chmod 700 $t; mv $t {path}; \
         trap - EXIT; find /var/lib/bastide/agent -type f ! -name \"{hash}*\" -mmin +60 -delete; fi; exec {path} agent serve"
    );
    as_root(user, &format!("sh -c '{script}'"))
}

async fn greet(
    stdin: &mut ChildStdin,
    stdout: &mut BufReader<ChildStdout>,
    agent: &AgentBinary,
) -> io::Result<Greeting> {
    let mut line = String::new();
    stdout.read_line(&mut line).await?;
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some(PRESENT), _) => {}
        (Some(MISSING), Some(architecture)) if architecture == std::env::consts::ARCH => {
            stdin.write_all(&agent.bytes).await?;
            stdin.flush().await?;
        }
        (Some(MISSING), architecture) => {
            let (theirs, ours) = (architecture.unwrap_or("unknown"), std::env::consts::ARCH);
            return Err(io::Error::other(format!(
                "its processor is {theirs} and this bastide is built for {ours}: use a bastide built for {theirs}"
            )));
        }
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    match read_frame(stdout).await? {
        Some(Frame::Message(json)) => match serde_json::from_slice(&json)? {
            Event::Ready(greeting) => Ok(greeting),
            other => Err(io::Error::other(format!("the agent began with {other:?}"))),
        },
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// What went wrong, in ssh's words where it had any.
async fn why(host: &str, error: io::Error, mut stderr: ChildStderr) -> String {
    let mut said = String::new();
    let reading = stderr.read_to_string(&mut said);
    // ssh ends at once after an error; where it does not, its silence must not hold us up.
    let _late = tokio::time::timeout(Duration::from_secs(2), reading).await;
    if said.trim().is_empty() { format!("connect to {host}: {error}") } else { ssh::explain(host, &said) }
}

async fn read_events(
    mut stdout: BufReader<ChildStdout>,
    mut stderr: ChildStderr,
    to: mpsc::UnboundedSender<Event>,
    answers: Answers,
) {
    while let Ok(Some(frame)) = read_frame(&mut stdout).await {
        let Frame::Message(json) = frame else { break };
        match serde_json::from_slice(&json) {
            Ok(Event::Answer { id, payload }) => {
                let waiting = answers.lock().ok().and_then(|mut answers| answers.remove(&id));
                // Whoever asked may have stopped waiting.
                let _unheard = waiting.map(|waiting| waiting.send(payload));
            }
            Ok(event) => {
                if to.send(event).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    let mut said = String::new();
    // Only to say why; the connection is gone either way.
    let _silent = tokio::time::timeout(Duration::from_secs(2), stderr.read_to_string(&mut said)).await;
    let reason = if said.trim().is_empty() { "ssh ended".to_owned() } else { said.trim().to_owned() };
    let _gone = to.send(Event::Broken { reason });
    if let Ok(mut answers) = answers.lock() {
        answers.clear();
    }
}

async fn keep_alive(writer: Arc<AsyncMutex<ChildStdin>>) {
    let Ok(ping) = serde_json::to_vec(&Request::Ping) else { return };
    let weak = Arc::downgrade(&writer);
    drop(writer);
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let Some(writer) = weak.upgrade() else { return };
        if write_frame(&mut *writer.lock().await, Frame::Message(ping.clone())).await.is_err() {
            return;
        }
    }
}

async fn write_frame(to: &mut ChildStdin, frame: Frame) -> io::Result<()> {
    to.write_all(&protocol::header(&frame)?).await?;
    let (Frame::Message(payload) | Frame::Blob(payload)) = frame;
    to.write_all(&payload).await?;
    to.flush().await
}

async fn read_frame(from: &mut BufReader<ChildStdout>) -> io::Result<Option<Frame>> {
    let mut header = [0; 5];
    match from.read_exact(&mut header).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let mut payload = vec![0; protocol::payload_length(header)?];
    from.read_exact(&mut payload).await?;
    Ok(Some(protocol::frame(header, payload)))
}
