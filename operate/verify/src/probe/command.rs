//! Programs, for what only the host itself knows.

use super::Hidden;
use crate::place::ProbeError;
use serde::{Deserialize, Serialize};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

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
        Self { argv, stdin: None, timeout_ms: 20_000 }
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

/// Bytes that are kept of each stream.
const KEPT: usize = 256 * 1024;

impl Command {
    pub(super) async fn execute(self) -> Result<CommandOutcome, ProbeError> {
        let (program, arguments) = self
            .argv
            .split_first()
            .ok_or_else(|| ProbeError::broken("running a program", "none was named"))?;
        let failed = |error: std::io::Error| {
            ProbeError::broken(format_args!("running {}", self.argv.join(" ")), error)
        };
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let conversation = async {
            let feed = async {
                if let (Some(mut input), Some(text)) = (input, &self.stdin) {
                    // A program that does not read what it is given is no failure of ours.
                    let _ = input.write_all(text.reveal().as_bytes()).await;
                }
            };
            tokio::join!(feed, keep(output, &mut stdout), keep(errors, &mut stderr));
            child.wait().await
        };
        let exit = match timeout(Duration::from_millis(self.timeout_ms), conversation).await {
            Ok(status) => status.map_err(failed)?.code(),
            Err(_) => None,
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(CommandOutcome { exit, stdout: text(stdout), stderr: text(stderr) })
    }
}

/// Reads to the end, so that the writer never blocks, and keeps the beginning.
async fn keep(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut chunk = [0; 8192];
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..length.min(KEPT - kept.len())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_exit_code_and_input_come_back() {
        let probe = Command::new(&["sh", "-c", "cat; echo wrong >&2; exit 3"]).reading("fed");
        let outcome = probe.execute().await.unwrap();
        assert_eq!(outcome, CommandOutcome { exit: Some(3), stdout: "fed".into(), stderr: "wrong\n".into() });
        assert!(!outcome.succeeded());
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_and_what_it_printed_is_kept() {
        let mut probe = Command::new(&["sh", "-c", "echo before; exec sleep 600"]);
        probe.timeout_ms = 300;
        let outcome = probe.execute().await.unwrap();
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (None, "before\n"));
    }

    #[tokio::test]
    async fn endless_output_is_cut() {
        let outcome = Command::new(&["sh", "-c", "yes | head -c 1000000"]).execute().await.unwrap();
        assert_eq!((outcome.exit, outcome.stdout.len()), (Some(0), KEPT));
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_breaks_the_probe() {
        let error = Command::new(&["/nonexistent/program"]).execute().await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/program"), "{error}");
    }
}
