//! Running the machine's own tools (`ip`, `nft`, `mmdebstrap`, …) with errors that say what they were run for.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::error::{LabError, Result};

/// Lines of a failed tool's output that go into the error.
const EVIDENCE_LINES: usize = 15;

/// Runs `program` to its end and returns its standard output; `attempted` is what the error says it was for.
pub(crate) fn run<S: AsRef<OsStr>>(attempted: &str, program: &str, arguments: &[S]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = output(attempted, &mut command)?;
    succeeded(attempted, &command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As [`run`], with `input` on standard input.
pub(crate) fn run_with_input<S: AsRef<OsStr>>(
    attempted: &str,
    program: &str,
    arguments: &[S],
    input: &str,
) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started(attempted, &command, &error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that exits without reading its input closes the pipe: its exit status tells the story.
        drop(stdin.write_all(input.as_bytes()));
    }
    let output = child.wait_with_output().map_err(|error| not_started(attempted, &command, &error))?;
    succeeded(attempted, &command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `program` and says only whether it ended well: for questions whose answer is the exit status.
pub(crate) fn answers_yes<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a prepared command to its end, whatever its exit status.
pub(crate) fn output(attempted: &str, command: &mut Command) -> Result<Output> {
    command.output().map_err(|error| not_started(attempted, command, &error))
}

/// The error of a program that could not be started at all.
pub(crate) fn not_started(attempted: &str, command: &Command, error: &std::io::Error) -> LabError {
    LabError::Command {
        attempted: attempted.to_owned(),
        command: shown(command),
        outcome: format!("could not be started ({error})"),
        output: String::new(),
    }
}

/// Fails unless `output` is that of a program that ended well.
pub(crate) fn succeeded(attempted: &str, command: &Command, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.trim().is_empty() {
        text = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    Err(LabError::Command {
        attempted: attempted.to_owned(),
        command: shown(command),
        outcome: format!("failed with {}", output.status),
        output: last_lines(&text),
    })
}

/// The end of a long text: where tools say why they gave up.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(EVIDENCE_LINES)..].join("\n")
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
