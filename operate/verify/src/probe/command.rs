//! Programs, for what only the host itself knows.

use super::Hidden;
use serde::{Deserialize, Serialize};

/// Runs a program and collects what it prints, up to 256 KiB of each stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments; never a secret, for every user can read them.
    pub argv: Vec<String>,
    /// What it reads on standard input.
    pub stdin: Option<Hidden>,
    /// Milliseconds after which it is killed.
    pub timeout_ms: u64,
}

impl Command {
    /// Runs `argv` for at most five seconds.
    pub fn new(argv: &[&str]) -> Self {
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        Self { argv, stdin: None, timeout_ms: 5_000 }
    }

    /// Gives it something to read on standard input.
    #[must_use]
    pub fn reading(mut self, stdin: impl Into<Hidden>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }
}

/// What a program printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandOutcome {
    /// Exit code; none where a signal or the timeout ended it.
    pub exit: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl CommandOutcome {
    /// Whether it ended with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Some(0)
    }
}
