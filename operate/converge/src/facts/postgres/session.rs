//! `psql`, kept open to answer questions, or run once to change something.

use super::PostgresServer;
use crate::host::tail;
use crate::resource::ResourceError;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Ends an answer; nothing that a query gives looks like it.
const END: &str = "--bastide-end-of-answer--";

/// What came of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The rows, a line each.
    Text(String),
    /// The server refused the query.
    Refused {
        /// Five characters that name the reason.
        sqlstate: String,
        /// The reason.
        message: String,
    },
    /// There is no such server or no such database.
    Unreachable(String),
}

/// A `psql` that waits for questions about one database.
#[derive(Debug)]
pub(super) struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Session {
    pub(super) fn open(
        server: &PostgresServer,
        account: (u32, u32),
        database: &str,
    ) -> Result<Self, ResourceError> {
        let mut child = psql(server, account, database).spawn().map_err(ResourceError::io("start psql"))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ResourceError::Other("start psql: it has no input or no output".to_owned()));
        };
        let mut session = Self { child, stdin: Some(stdin), stdout: BufReader::new(stdout) };
        // Limits of this session alone: what `pg_settings` calls `reset_val` stays the server's.
        session
            .send("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;\nSET statement_timeout = '20s';\n");
        Ok(session)
    }

    /// Sends text; a `psql` that has ended is noticed when its answer does not come.
    fn send(&mut self, text: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ended = stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush());
        }
    }

    pub(super) fn ask(&mut self, query: &str) -> Result<Answer, ResourceError> {
        let query = query.trim().trim_end_matches(';');
        self.send(&format!(
            "{query}\n;\n\\echo {END} :ERROR :SQLSTATE\n\\echo :LAST_ERROR_MESSAGE\n\\echo {END}\n"
        ));
        let Some((rows, status)) = self.lines_until_end()? else {
            return Ok(Answer::Unreachable(self.last_words()));
        };
        let Some((message, _)) = self.lines_until_end()? else {
            return Ok(Answer::Unreachable(self.last_words()));
        };
        match status.trim().split_once(' ') {
            Some(("false", _)) => Ok(Answer::Text(rows)),
            Some((_, sqlstate)) => Ok(Answer::Refused { sqlstate: sqlstate.to_owned(), message }),
            None => Err(ResourceError::Other(format!("psql ended an answer with `{status}`"))),
        }
    }

    /// The lines before the next end mark and what stands behind it; none where `psql` has ended.
    fn lines_until_end(&mut self) -> Result<Option<(String, String)>, ResourceError> {
        let mut lines: Vec<String> = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            if self.stdout.read_line(&mut line).map_err(ResourceError::io("read psql's answer"))? == 0 {
                return Ok(None);
            }
            let line = line.strip_suffix('\n').unwrap_or(&line);
            if let Some(behind) = line.strip_prefix(END) {
                return Ok(Some((lines.join("\n"), behind.to_owned())));
            }
            lines.push(line.to_owned());
        }
    }

    /// Why `psql` ended.
    fn last_words(&mut self) -> String {
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _unreadable = stderr.read_to_string(&mut said);
        }
        format!("PostgreSQL cannot be asked: {}", tail(&said, 3))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // End of input ends psql; waiting for it leaves no dead process behind.
        self.stdin = None;
        let _status = self.child.wait();
    }
}

/// Runs a script with psql's own guards: it stops at the first error.
pub(super) fn execute(
    server: &PostgresServer,
    account: (u32, u32),
    database: &str,
    script: &str,
    one_transaction: bool,
) -> Result<(), ResourceError> {
    let mut command = psql(server, account, database);
    command.args(["-v", "ON_ERROR_STOP=1", "-f", "-"]);
    if one_transaction {
        command.arg("--single-transaction");
    }
    let mut child = command.spawn().map_err(ResourceError::io("start psql"))?;
    // The statements may hold verifiers, which do not belong into the server's log.
    let script = format!(
        "SET log_statement = 'none';\nSET log_min_duration_statement = -1;\n\
         SET log_min_error_statement = 'panic';\n{script}\n"
    );
    let writer =
        child.stdin.take().map(|mut stdin| std::thread::spawn(move || stdin.write_all(script.as_bytes())));
    let output = child.wait_with_output().map_err(ResourceError::io("wait for psql"))?;
    if let Some(writer) = writer {
        // psql stops reading at an error, which its status tells.
        let _unread = writer.join();
    }
    if output.status.success() {
        return Ok(());
    }
    Err(ResourceError::Program {
        program: format!("psql --dbname={database}"),
        status: output.status.to_string(),
        output: tail(&without_statements(&String::from_utf8_lossy(&output.stderr)), 8),
    })
}

/// psql's complaints without the lines that repeat the statement, which may hold a verifier.
fn without_statements(said: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut repeats = false;
    for line in said.lines() {
        repeats = line.starts_with("LINE ") || (repeats && line.trim_start().starts_with('^'));
        if !repeats && !line.starts_with("STATEMENT:") && !line.contains("SCRAM-SHA-256$") {
            kept.push(line);
        }
    }
    kept.join("\n")
}

fn psql(server: &PostgresServer, (uid, gid): (u32, u32), database: &str) -> Command {
    let mut command = Command::new(server.programs.join("psql"));
    command
        .args(["-X", "-q", "-A", "-t", "-U", "postgres", "-h"])
        .arg(&server.socket)
        .args(["-p", &server.port.to_string(), "-d", database])
        .env("LC_ALL", "C.UTF-8")
        .env("PGCONNECT_TIMEOUT", "5")
        .env("PGAPPNAME", "bastide")
        .env("PGCLIENTENCODING", "UTF8")
        .env("PGOPTIONS", "-c client_min_messages=error")
        .current_dir("/")
        .uid(uid)
        .gid(gid)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_do_not_repeat_the_statement() {
        let said = "psql:<stdin>:1: ERROR:  syntax error\n\
                    LINE 1: ALTER ROLE x PASSWORD 'SCRAM-SHA-256$4096:abc'\n      ^\nHINT:  x";
        assert_eq!(without_statements(said), "psql:<stdin>:1: ERROR:  syntax error\nHINT:  x");
    }
}
