//! One connection: HTTP/1.1 as far as a load needs it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::request::{Kind, Turn, Turns};
use bench_load::latencies::Latencies;
use bench_load::pace::Pace;

/// A server that does not answer a request for this long will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a connection ended early. Only answers that were expected are measured, so one of these ends the run.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("the connection broke: {0}")]
    Broke(#[from] std::io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("an answer that was not expected: {0}")]
    Unexpected(String),
}

pub struct Connection {
    stream: TcpStream,
    kind: Kind,
    turns: Rc<Turns>,
    turn: Turn,
    request: String,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr, kind: Kind, turns: Rc<Turns>) -> Result<Self, AskError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (turn, request, answer) = (Turn::default(), String::new(), Vec::with_capacity(64 << 10));
        Ok(Self { stream, kind, turns, turn, request, answer })
    }

    /// Asks until `end`; what was answered after `begin` is measured.
    pub async fn ask(
        mut self,
        mut pace: Option<Pace>,
        begin: Instant,
        end: Instant,
    ) -> Result<Latencies, AskError> {
        let mut latencies = Latencies::default();
        loop {
            let asked = match &mut pace {
                Some(pace) => pace.next().await,
                None => Instant::now(),
            };
            if asked >= end {
                return Ok(latencies);
            }
            self.turns.write(&mut self.turn, &mut self.request);
            timeout_at(Instant::now() + PATIENCE, self.exchange()).await.map_err(|_| AskError::Late)??;
            let answered = Instant::now();
            if answered >= begin && answered < end {
                latencies.record(answered - asked);
            }
        }
    }

    /// Sends the request and reads the answer to its end.
    async fn exchange(&mut self) -> Result<(), AskError> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.answer.clear();
        let whole = loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(AskError::Closed);
            }
            if let Some(end) = find(&self.answer, b"\r\n\r\n") {
                break end + 4 + self.body_length(end)?;
            }
        };
        while self.answer.len() < whole {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(AskError::Closed);
            }
        }
        let status = self.answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        if status.and_then(|digits| digits.parse().ok()) != Some(self.kind.status()) {
            return Err(AskError::Unexpected(String::from_utf8_lossy(&self.answer).into_owned()));
        }
        Ok(())
    }

    fn body_length(&self, end: usize) -> Result<usize, AskError> {
        let head = std::str::from_utf8(&self.answer[..end]).unwrap_or_default();
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .ok_or_else(|| AskError::Unexpected(head.to_owned()))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
