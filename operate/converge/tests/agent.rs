//! The agent at the end of a real pipe: what it answers, and when it ends.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use bastide_converge::agent::{self, AgentError};
use bastide_converge::protocol::{self, Event, Frame, Mode, Request};
use bastide_converge::resource::{Directory, File, Resource};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

struct Agent {
    line: UnixStream,
    thread: JoinHandle<Result<(), AgentError>>,
}

impl Agent {
    fn start() -> Self {
        let (line, theirs) = UnixStream::pair().unwrap();
        let output = theirs.try_clone().unwrap();
        let echo = Arc::new(|question| serde_json::json!({ "asked": question }));
        let thread = std::thread::spawn(move || agent::serve(theirs, output, echo));
        let mut agent = Self { line, thread };
        assert!(matches!(agent.hear(), Event::Ready(_)));
        agent
    }

    fn say(&mut self, request: &Request) {
        protocol::write(&mut self.line, request).unwrap();
    }

    fn hear(&mut self) -> Event {
        match protocol::read(&mut self.line).unwrap() {
            Some(Frame::Message(json)) => serde_json::from_slice(&json).unwrap(),
            other => panic!("expected an event, got {other:?}"),
        }
    }

    fn hang_up(self) -> Result<(), AgentError> {
        self.line.shutdown(std::net::Shutdown::Both).unwrap();
        self.thread.join().unwrap()
    }
}

#[test]
fn a_plan_observes_every_resource_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("greeting");
    let file = Resource::new("test", File::new(path.to_str().unwrap(), "hello\n"));
    let missing = directory.path().join("missing");
    let directory_wanted = Directory {
        path: missing.to_str().unwrap().to_owned(),
        owner: "root".to_owned(),
        group: "root".to_owned(),
        mode: 0o755,
    };
    let mut agent = Agent::start();
    agent.say(&Request::Converge {
        mode: Mode::Plan,
        resources: vec![file, Resource::new("test", directory_wanted)],
    });
    for expected in 0..2 {
        let Event::Observed { index, difference: Some(_) } = agent.hear() else { panic!("not a difference") };
        assert_eq!(index, expected);
    }
    assert!(matches!(agent.hear(), Event::Finished { .. }));
    assert!(!path.exists() && !missing.exists());
    agent.hang_up().unwrap();
}

#[test]
fn nothing_is_changed_without_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("greeting");
    let file = Resource::new("test", File::new(path.to_str().unwrap(), "hello\n"));
    let mut agent = Agent::start();
    agent.say(&Request::Converge { mode: Mode::Apply, resources: vec![file] });
    assert!(matches!(agent.thread.join().unwrap(), Err(AgentError::Protocol(_))));
    assert!(!path.exists());
}

#[test]
fn calls_are_answered_by_number() {
    let mut agent = Agent::start();
    for id in [7, 8] {
        agent.say(&Request::Call { id, payload: serde_json::json!(id) });
    }
    let mut answered = Vec::new();
    for _ in 0..2 {
        let Event::Answer { id, payload } = agent.hear() else { panic!("not an answer") };
        assert_eq!(payload, serde_json::json!({ "asked": id }));
        answered.push(id);
    }
    answered.sort_unstable();
    assert_eq!(answered, [7, 8]);
    agent.hang_up().unwrap();
}

#[test]
fn the_agent_ends_when_the_operator_hangs_up() {
    Agent::start().hang_up().unwrap();
}

#[test]
fn a_blob_that_nobody_asked_for_ends_the_conversation() {
    let mut agent = Agent::start();
    agent.say(&Request::Blob);
    assert!(matches!(agent.thread.join().unwrap(), Err(AgentError::Protocol(_))));
}
