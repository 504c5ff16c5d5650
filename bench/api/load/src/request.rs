//! What is asked, and by whom.

use std::cell::Cell;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

/// An endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// `GET /api/v1/tasks/{id}`
    Show,
    /// `GET /api/v1/tasks?limit=50`
    List,
    /// `POST /api/v1/tasks`
    Create,
}

impl Kind {
    /// The status of an answer that counts.
    pub fn status(self) -> u16 {
        match self {
            Self::Show | Self::List => 200,
            Self::Create => 201,
        }
    }
}

/// Who asks.
#[derive(Debug, Deserialize)]
pub struct Crew {
    agents: Vec<Agent>,
    organizations: Vec<Organization>,
}

#[derive(Debug, Deserialize)]
struct Agent {
    token: String,
    /// What the edge says its address is.
    address: String,
    /// Which of the organizations it belongs to.
    organization: usize,
}

#[derive(Debug, Deserialize)]
struct Organization {
    project: String,
    tasks: Vec<String>,
}

impl Crew {
    pub fn read(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let crew: Self = serde_json::from_slice(&std::fs::read(path)?)?;
        let whole = !crew.agents.is_empty()
            && crew.organizations.iter().all(|organization| !organization.tasks.is_empty())
            && crew.agents.iter().all(|agent| agent.organization < crew.organizations.len());
        if whole {
            Ok(crew)
        } else {
            Err("it has no agents, or agents of organizations without tasks".into())
        }
    }
}

/// Lets agents take turns: one a connection, and after so many requests the next, as limits of rate want it.
#[derive(Debug)]
pub struct Turns {
    crew: Crew,
    kind: Kind,
    turn: u32,
    next_agent: Cell<usize>,
    next_request: Cell<u64>,
    /// Different in each run, so that no Idempotency-Key comes again.
    run: u32,
}

/// The agent of a connection, and how often it has asked.
#[derive(Debug, Default)]
pub struct Turn {
    agent: Option<usize>,
    asked: u32,
}

impl Turns {
    pub fn new(crew: Crew, kind: Kind, first: usize, turn: u32) -> Self {
        let (next_agent, next_request) = (Cell::new(first), Cell::new(0));
        Self { crew, kind, turn, next_agent, next_request, run: std::process::id() }
    }

    /// Writes the next request of a connection into `bytes`.
    pub fn write(&self, turn: &mut Turn, bytes: &mut String) {
        let agent = match turn.agent {
            Some(agent) if turn.asked < self.turn => agent,
            _ => {
                let next = self.next_agent.get();
                self.next_agent.set(next + 1);
                *turn = Turn { agent: Some(next % self.crew.agents.len()), asked: 0 };
                next % self.crew.agents.len()
            }
        };
        turn.asked += 1;
        let number = self.next_request.get();
        self.next_request.set(number + 1);
        let agent = &self.crew.agents[agent];
        let organization = &self.crew.organizations[agent.organization];
        bytes.clear();
        let written = match self.kind {
            Kind::Show => {
                let task = &organization.tasks[(number % organization.tasks.len() as u64) as usize];
                write!(bytes, "GET /api/v1/tasks/{task} HTTP/1.1\r\n{}\r\n", headers(agent))
            }
            Kind::List => write!(bytes, "GET /api/v1/tasks?limit=50 HTTP/1.1\r\n{}\r\n", headers(agent)),
            Kind::Create => {
                let body = format!(
                    "{{\"project_id\":\"{}\",\"title\":\"Task {number}\",\"description\":\"Twice a week.\",\
                     \"state\":\"open\",\"due_on\":\"2027-01-31\"}}",
                    organization.project
                );
                write!(
                    bytes,
                    "POST /api/v1/tasks HTTP/1.1\r\n{}content-type: application/json\r\nidempotency-key: \
                     \"{}-{number}\"\r\ncontent-length: {}\r\n\r\n{body}",
                    headers(agent),
                    self.run,
                    body.len()
                )
            }
        };
        written.expect("writing to a string does not fail");
    }
}

fn headers(agent: &Agent) -> String {
    format!(
        "host: localhost\r\nuser-agent: bench\r\naccept: application/json\r\nauthorization: Bearer {}\r\n\
         x-forwarded-for: {}\r\n",
        agent.token, agent.address
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(kind: Kind) -> Turns {
        let agent = |number: usize| Agent {
            token: format!("token{number}"),
            address: format!("10.0.0.{number}"),
            organization: 0,
        };
        let organizations = vec![Organization { project: "p".to_owned(), tasks: vec!["t".to_owned()] }];
        Turns::new(Crew { agents: (0..3).map(agent).collect(), organizations }, kind, 2, 2)
    }

    #[test]
    fn an_agent_asks_for_its_turn_and_then_comes_the_next() {
        let turns = turns(Kind::Show);
        let (mut turn, mut bytes) = (Turn::default(), String::new());
        let mut seen = Vec::new();
        for _ in 0..5 {
            turns.write(&mut turn, &mut bytes);
            let token = bytes.split("Bearer ").nth(1).expect("a token").lines().next().expect("a line");
            seen.push(token.to_owned());
        }
        assert_eq!(seen, ["token2", "token2", "token0", "token0", "token1"]);
    }

    #[test]
    fn no_key_comes_twice() {
        let turns = turns(Kind::Create);
        let (mut turn, mut first, mut second) = (Turn::default(), String::new(), String::new());
        turns.write(&mut turn, &mut first);
        turns.write(&mut turn, &mut second);
        let key = |text: &str| text.split("idempotency-key: ").nth(1).map(|rest| rest[..16].to_owned());
        assert_ne!(key(&first), key(&second));
    }
}
