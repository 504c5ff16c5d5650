//! The agent: the same binary on the host, at the end of one SSH connection.
//!
//! It observes and changes what it is told to, and answers calls while it does. It ends with its connection: when
//! the operator falls silent it stops between two resources, so that its lock never outlives the work.

mod converge;
mod guard;
mod lock;

pub use guard::{confirm, revert};

use crate::protocol::{self, ABANDONED, ABANDONED_FOR_GOOD, Event, Frame, Greeting, Request};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Answers a [`Request::Call`]; runs in a thread of its own.
pub type Extension = Arc<dyn Fn(serde_json::Value) -> serde_json::Value + Send + Sync>;

/// The agent's end of the connection.
pub(crate) struct Line {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    incoming: Receiver<Incoming>,
    heard: Arc<Heard>,
    extension: Extension,
}

/// What the reader passes on: pings are noted and dropped.
pub(crate) enum Incoming {
    Request(Request),
    Blob(Vec<u8>),
}

/// When the operator was last heard, in milliseconds since the agent's start.
struct Heard {
    start: Instant,
    last: AtomicU64,
    /// Whether the connection has ended, so that nothing will be heard any more.
    gone: AtomicBool,
}

impl Heard {
    fn now(&self) {
        self.last.store(self.elapsed(), Ordering::Relaxed);
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn silence(&self) -> Duration {
        Duration::from_millis(self.elapsed().saturating_sub(self.last.load(Ordering::Relaxed)))
    }
}

/// The operator is gone, or cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nothing was heard for too long, or the connection ended.
    #[error("the operator's machine is gone")]
    Abandoned,
    /// The connection failed.
    #[error("talk to the operator's machine: {0}")]
    Connection(#[from] io::Error),
    /// Something was said out of turn.
    #[error("the operator's machine said something unexpected: {0}")]
    Protocol(String),
}

impl Line {
    /// Says something to the operator.
    pub(crate) fn say(&self, event: &Event) -> Result<(), AgentError> {
        let mut out = self.out.lock().map_err(|_| AgentError::Abandoned)?;
        Ok(protocol::write(&mut *out, event)?)
    }

    /// The next request; calls are answered on the side.
    pub(crate) fn next(&self) -> Result<Incoming, AgentError> {
        loop {
            match self.incoming.recv_timeout(Duration::from_secs(1)) {
                Ok(Incoming::Request(Request::Call { id, payload })) => self.answer(id, payload),
                Ok(incoming) => return Ok(incoming),
                Err(RecvTimeoutError::Timeout) if self.heard.silence() < ABANDONED => {}
                Err(_) => return Err(AgentError::Abandoned),
            }
        }
    }

    /// Whether the operator has fallen silent; asked between two resources.
    pub(crate) fn abandoned(&self) -> bool {
        self.heard.gone.load(Ordering::Relaxed) || self.heard.silence() >= ABANDONED
    }

    fn answer(&self, id: u64, payload: serde_json::Value) {
        let (out, extension) = (Arc::clone(&self.out), Arc::clone(&self.extension));
        std::thread::spawn(move || {
            let event = Event::Answer { id, payload: extension(payload) };
            if let Ok(mut out) = out.lock() {
                // Where the connection is gone, the reader notices and ends the agent.
                let _gone = protocol::write(&mut *out, &event);
            }
        });
    }
}

/// Serves one connection until it ends.
pub fn serve(
    input: impl io::Read + Send + 'static,
    output: impl Write + Send + 'static,
    extension: Extension,
) -> Result<(), AgentError> {
    let heard =
        Arc::new(Heard { start: Instant::now(), last: AtomicU64::new(0), gone: AtomicBool::new(false) });
    let (sender, incoming) = mpsc::channel();
    let out: Arc<Mutex<Box<dyn Write + Send>>> = Arc::new(Mutex::new(Box::new(output)));
    spawn_reader(input, sender, Arc::clone(&heard));
    spawn_watchdog(Arc::clone(&heard));
    let line = Rc::new(Line { out, incoming, heard, extension });
    line.say(&Event::Ready(greeting()))?;
    let mut held = None;
    loop {
        match line.next() {
            Ok(Incoming::Request(Request::Lock { holder })) => match lock::take(&holder)? {
                lock::Outcome::Taken(lock) => {
                    held = Some(lock);
                    line.say(&Event::Locked)?;
                }
                lock::Outcome::HeldBy(holder) => line.say(&Event::LockedByOther { holder })?,
            },
            Ok(Incoming::Request(Request::Converge { mode, resources })) => {
                if mode == protocol::Mode::Apply && held.is_none() {
                    return Err(AgentError::Protocol("changes without the host's lock".to_owned()));
                }
                converge::run(&line, mode, &resources)?;
            }
            Ok(
                Incoming::Request(Request::Blob | Request::Call { .. } | Request::Ping) | Incoming::Blob(_),
            ) => {
                return Err(AgentError::Protocol("a blob that nobody asked for".to_owned()));
            }
            Err(AgentError::Abandoned) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn spawn_reader(mut input: impl io::Read + Send + 'static, to: mpsc::Sender<Incoming>, heard: Arc<Heard>) {
    std::thread::spawn(move || {
        while let Ok(Some(frame)) = protocol::read(&mut input) {
            heard.now();
            let incoming = match frame {
                Frame::Blob(bytes) => Incoming::Blob(bytes),
                Frame::Message(json) => match serde_json::from_slice(&json) {
                    Ok(Request::Ping) => continue,
                    Ok(request) => Incoming::Request(request),
                    Err(_) => break,
                },
            };
            if to.send(incoming).is_err() {
                break;
            }
        }
        heard.gone.store(true, Ordering::Relaxed);
    });
}

/// Ends the process when the operator stays away in the middle of a resource; the kernel frees the lock.
fn spawn_watchdog(heard: Arc<Heard>) {
    std::thread::spawn(move || {
        while heard.silence() < ABANDONED_FOR_GOOD {
            std::thread::sleep(Duration::from_secs(1));
        }
        std::process::exit(4);
    });
}

fn greeting() -> Greeting {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let values: BTreeMap<&str, &str> = release
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key, value.trim_matches('"')))
        .collect();
    let value = |key: &str| values.get(key).copied().unwrap_or_default().to_owned();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let kilobytes: u64 = kilobytes.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Greeting {
        os_id: value("ID"),
        os_version: value("VERSION_ID"),
        os_codename: value("VERSION_CODENAME"),
        hostname: hostname.trim().to_owned(),
        memory_mb: kilobytes / 1024,
    }
}
