//! Running the machine's own tools (`ip`, `nft`, `mmdebstrap`, …) with errors that say what they were run for.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

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

/// As [`output`], for a command that enters a host: it ends also when the host goes down under it.
pub(crate) fn output_on_host(attempted: &str, command: &mut Command) -> Result<Output> {
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    spawned
        .and_then(|child| kept_awake(child, Child::wait_with_output))
        .map_err(|error| not_started(attempted, command, &error))
}

/// The exit status of a command that enters a host, with this process's own standard input, output and error.
pub(crate) fn status_on_host(attempted: &str, command: &mut Command) -> Result<ExitStatus> {
    command
        .spawn()
        .and_then(|child| kept_awake(child, |mut child| child.wait()))
        .map_err(|error| not_started(attempted, command, &error))
}

/// Waits for `child`, an `nsenter`, with `wait`, and wakes it whenever it has stopped.
///
/// `nsenter` stops itself when its child is stopped, and looks no further. A shutdown stops every process of a host
/// before it ends them: nobody would be left to wake `nsenter`.
fn kept_awake<T>(child: Child, wait: impl FnOnce(Child) -> std::io::Result<T>) -> std::io::Result<T> {
    let process = Pid::from_child(&child);
    std::thread::scope(|scope| {
        scope.spawn(move || while wake_when_stopped(process) {});
        wait(child)
    })
}

/// Waits until `process`, a child of ours, stops or ends; whether it goes on.
fn wake_when_stopped(process: Pid) -> bool {
    let child = || WaitId::Pid(process);
    // An end is only looked at: who waits for the exit status takes it.
    match waitid(child(), WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        Ok(Some(status)) if status.stopped() => {
            let taken = waitid(child(), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
            taken.is_ok() && kill_process(process, Signal::CONT).is_ok()
        }
        Err(Errno::INTR) => true,
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_stops_itself_is_woken_and_its_end_is_seen() {
        let script = "kill -STOP $$; echo awake; kill -STOP $$; exit 7";
        let output = output_on_host("test", Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), b"awake\n".as_slice()));
        let status =
            status_on_host("test", Command::new("sh").args(["-c", "kill -STOP $$; exit 5"])).unwrap();
        assert_eq!(status.code(), Some(5));
    }
}
