//! `bastide identity`: the issuer's own commands, run on its host, and its clients' secrets.

use crate::arguments::{Arguments, AuditCommand, Identity, IdentityCommand, KeysCommand, SessionsCommand};
use crate::exit::Exit;
use crate::operator::{self, Operator};
use anyhow::{Context, Result, bail};
use bastide_components::identity::{OPERATOR_PROGRAM, client_secret, host};
use bastide_platform::Host;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// Runs a command of the issuer.
pub async fn run(arguments: &Arguments, options: &Identity) -> Result<Exit> {
    let operator = Operator::open(arguments, operator::load(arguments)?)?;
    let Some(host) = host(&operator.platform) else {
        bail!(
            "this platform has no issuer of its own: name a login provider under [identity.providers], and leave \
             `broker` at \"bastide\""
        );
    };
    match &options.command {
        IdentityCommand::Recover { user } => {
            let answer = ask(&operator, host, &["recover", "--", user]).await?;
            Ok(answer.show(arguments, |link| json!({ "user": user, "link": link.trim() })))
        }
        IdentityCommand::Sessions { command: SessionsCommand::List { user } } => {
            let mut words = vec!["sessions", "list"];
            words.extend(arguments.json.then_some("--json"));
            words.extend(user.iter().flat_map(|user| ["--", user]));
            let answer = ask(&operator, host, &words).await?;
            // The issuer prints the one document itself.
            Ok(answer.show(arguments, |document| serde_json::from_str(document).unwrap_or_default()))
        }
        IdentityCommand::Sessions { command: SessionsCommand::End { session, all_of } } => {
            let mut words = vec!["sessions", "end"];
            words.extend(all_of.iter().flat_map(|user| ["--all-of", user]));
            words.extend(session.iter().flat_map(|session| ["--", session]));
            let answer = ask(&operator, host, &words).await?;
            Ok(answer.show(arguments, |_| json!({ "session": session, "all_of": all_of, "ended": true })))
        }
        IdentityCommand::Keys { command: KeysCommand::Rotate { now } } => {
            let mut words = vec!["keys", "rotate"];
            words.extend(now.then_some("--now"));
            let answer = ask(&operator, host, &words).await?;
            Ok(answer.show(arguments, |keys| json!({ "keys": keys.lines().collect::<Vec<_>>() })))
        }
        IdentityCommand::Audit { command: AuditCommand::List { most, action, by, to, request } } => {
            let most = most.map(|most| most.to_string());
            let mut words = vec!["audit", "list"];
            words.extend(arguments.json.then_some("--json"));
            let options =
                [("--most", &most), ("--action", action), ("--by", by), ("--to", to), ("--request", request)];
            let named: Vec<String> = options.into_iter().filter_map(given).collect();
            words.extend(named.iter().map(String::as_str));
            let answer = ask(&operator, host, &words).await?;
            Ok(answer.show(arguments, |lines| json!({ "events": documents(lines) })))
        }
        IdentityCommand::Audit { command: AuditCommand::Verify { known } } => {
            let known = given(("--known", known));
            let words: Vec<&str> = ["audit", "verify"].into_iter().chain(known.as_deref()).collect();
            let answer = ask(&operator, host, &words).await?;
            // Also where the log is broken, it says where.
            print!("{}", answer.stdout);
            Ok(match answer.code {
                Some(0) => Exit::Done,
                Some(4) => Exit::CheckFailed,
                _ => Exit::Failed,
            })
        }
        IdentityCommand::Secret { client, output } => write_secret(arguments, &operator, client, output),
    }
}

/// What the issuer's program said.
struct Answer {
    code: Option<i32>,
    stdout: String,
}

impl Answer {
    /// Prints it, or what it means as a document.
    fn show(self, arguments: &Arguments, document: impl FnOnce(&str) -> serde_json::Value) -> Exit {
        match (self.code == Some(0), arguments.json) {
            (false, _) => return Exit::Failed,
            (true, true) => println!("{}", document(&self.stdout)),
            (true, false) => print!("{}", self.stdout),
        }
        Exit::Done
    }
}

/// Runs the issuer's program on its host; what it says beside its answer goes to standard error.
async fn ask(operator: &Operator, host: &Host, words: &[&str]) -> Result<Answer> {
    let mut command = Command::new("ssh");
    command.arg("-F").arg(operator.ssh.path()).arg(host.name.as_str());
    command.args(remote(&host.ssh.user, words)).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().await.context("start ssh")?;
    Ok(Answer { code: output.status.code(), stdout: String::from_utf8_lossy(&output.stdout).into_owned() })
}

/// An option of the issuer's program, as one word, so that no value passes for another option.
fn given((name, value): (&str, &Option<String>)) -> Option<String> {
    value.as_ref().map(|value| format!("{name}={value}"))
}

/// The documents that a text has one of in each line.
fn documents(lines: &str) -> Vec<serde_json::Value> {
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The command line for the host's shell, which gets every word as it is.
fn remote(user: &str, words: &[&str]) -> Vec<String> {
    let sudo: &[&str] = if user == "root" { &[] } else { &["sudo", "-n"] };
    let all = sudo.iter().copied().chain([OPERATOR_PROGRAM]).chain(words.iter().copied());
    all.map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect()
}

/// Writes a client's secret where its own configuration wants it.
fn write_secret(arguments: &Arguments, operator: &Operator, client: &str, output: &Path) -> Result<Exit> {
    let clients = operator.platform.settings.identity.clients.iter();
    let with_secret: Vec<&str> =
        clients.filter(|known| known.keys_file.is_none()).map(|known| known.id.as_str()).collect();
    if !with_secret.contains(&client) {
        bail!(
            "no client of [identity.clients] is called `{client}` and has a secret; there are: {}",
            with_secret.join(", ")
        );
    }
    let secret = operator.secrets.password(&client_secret(client));
    let attempted = || format!("write the secret into {}, which must not exist yet", output.display());
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(output).with_context(attempted)?;
    writeln!(file, "{}", secret.reveal()).with_context(attempted)?;
    eprintln!("the secret of {client} is in {}; hand the file over, and remove it", output.display());
    if arguments.json {
        println!("{}", json!({ "client": client, "file": output }));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_shell_gets_every_word_as_it_is() {
        let line = remote("root", &["recover", "--", "a b'; rm -rf /"]).join(" ");
        assert_eq!(line, "'/usr/local/sbin/bastide-identity' 'recover' '--' 'a b'\\''; rm -rf /'");
        let option = given(("--action", &Some("--by".to_owned())));
        assert_eq!((option.as_deref(), given(("--by", &None))), (Some("--action=--by"), None));
        assert_eq!(documents("{\"a\": 1}\n{\"a\": 2}\n").len(), 2);
        assert_eq!(remote("ops", &["x"]).first().map(String::as_str), Some("'sudo'"));
    }
}
