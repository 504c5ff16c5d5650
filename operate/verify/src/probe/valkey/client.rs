//! A client of Valkey's protocol (RESP2).

use super::Reply;
use crate::probe::refusal::{Ended, Stage};
use crate::probe::wire::Duplex;
use std::fmt::Write;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// The longest text and the longest list that is believed.
const LONGEST: i64 = 16 * 1024 * 1024;

/// A connection.
pub(super) struct Client {
    stream: BufReader<Box<dyn Duplex>>,
}

impl Client {
    /// Speaks over `stream`.
    pub(super) fn new(stream: Box<dyn Duplex>) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Runs one command.
    pub(super) async fn run(&mut self, words: &[&str]) -> Result<Reply, Ended> {
        self.send(&encode(words)).await?;
        self.receive().await
    }

    /// Writes many keys, 64 at a time, until all are written or one is refused.
    pub(super) async fn fill(&mut self, prefix: &str, keys: u32, value_bytes: u32) -> Result<Reply, Ended> {
        /// Keys that are on their way at the same time.
        const BATCH: u32 = 64;
        let value = "x".repeat(value_bytes as usize);
        let mut written = 0;
        for first in (0..keys).step_by(BATCH as usize) {
            let last = keys.min(first + BATCH);
            let commands: String = (first..last)
                .map(|n| encode(&["SET", &format!("{prefix}{n}"), &value, "EX", "60"]))
                .collect();
            self.send(&commands).await?;
            let mut refused = None;
            for _ in first..last {
                match self.receive().await? {
                    Reply::Error(error) => refused = refused.or(Some(error)),
                    _ => written += 1,
                }
            }
            if refused.is_some() {
                return Ok(Reply::Filled { written, refused });
            }
        }
        Ok(Reply::Filled { written, refused: None })
    }

    async fn send(&mut self, text: &str) -> Result<(), Ended> {
        self.stream.write_all(text.as_bytes()).await.map_err(broke)?;
        self.stream.flush().await.map_err(broke)
    }

    async fn receive(&mut self) -> Result<Reply, Ended> {
        let line = self.line().await?;
        let Some((kind, rest)) = line.split_at_checked(1) else { return Err(nonsense(&line)) };
        match kind {
            "+" => Ok(Reply::Status(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => rest.parse().map(Reply::Integer).map_err(|_| nonsense(&line)),
            "$" => match length(rest)? {
                None => Ok(Reply::Nil),
                Some(length) => {
                    let mut text = vec![0; length + 2];
                    self.stream.read_exact(&mut text).await.map_err(broke)?;
                    text.truncate(length);
                    Ok(Reply::Text(String::from_utf8_lossy(&text).into_owned()))
                }
            },
            "*" => match length(rest)? {
                None => Ok(Reply::Nil),
                Some(length) => {
                    let mut list = Vec::new();
                    for _ in 0..length {
                        list.push(Box::pin(self.receive()).await?);
                    }
                    Ok(Reply::List(list))
                }
            },
            _ => Err(nonsense(&line)),
        }
    }

    async fn line(&mut self) -> Result<String, Ended> {
        let mut line = Vec::new();
        (&mut self.stream).take(64 * 1024).read_until(b'\n', &mut line).await.map_err(broke)?;
        if line.last() != Some(&b'\n') {
            return Err(broke(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up")));
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

/// The length of a text or a list; none where it stands for nothing.
fn length(text: &str) -> Result<Option<usize>, Ended> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(length @ 0..=LONGEST) => Ok(Some(length as usize)),
        _ => Err(nonsense(text)),
    }
}

fn encode(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        // Writing to a string cannot fail.
        let _ = write!(text, "${}\r\n{word}\r\n", word.len());
    }
    text
}

fn broke(error: io::Error) -> Ended {
    Ended::refused(Stage::Protocol, error)
}

fn nonsense(line: &str) -> Ended {
    let beginning: String = line.chars().take(60).collect();
    Ended::refused(Stage::Protocol, format_args!("no answer of Valkey's protocol: {beginning:?}"))
}
