//! What PostgreSQL says of itself, asked through `psql` on the Unix socket as the user `postgres`.
//!
//! One `psql` a database is kept open for the whole run, because starting it costs more than any question. It is
//! read-only: observing cannot change anything. Changes run in a `psql` of their own.

mod document;
mod session;

pub(crate) use document::{Database, Document, Privilege, Role, Setting};
pub(crate) use session::Answer;

use crate::accounts::Accounts;
use crate::resource::ResourceError;
use session::Session;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the programs and the socket of Debian's cluster `main` are.
struct PostgresServer {
    programs: PathBuf,
    socket: PathBuf,
    /// Port that the socket is named after.
    port: u16,
}

/// Whether the server can be asked.
pub(crate) enum Presence {
    /// It cannot, for this reason.
    Absent(String),
    /// It can, and this is what it holds.
    Present(Arc<Document>),
}

/// What was read of PostgreSQL so far.
#[derive(Default)]
pub struct PostgresFacts {
    sessions: BTreeMap<String, Session>,
    document: Option<Arc<Document>>,
}

/// Says nothing of the content, which holds the roles' verifiers.
impl std::fmt::Debug for PostgresFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresFacts").field("sessions", &self.sessions.keys()).finish_non_exhaustive()
    }
}

impl PostgresFacts {
    /// Anything may have changed.
    pub fn forget(&mut self) {
        self.document = None;
        self.sessions.clear();
    }

    /// Roles, databases and settings, or why they cannot be read.
    pub(crate) fn presence(&mut self) -> Result<Presence, ResourceError> {
        if let Some(document) = &self.document {
            return Ok(Presence::Present(document.clone()));
        }
        if let Err(reason) = self.server() {
            return Ok(Presence::Absent(reason));
        }
        match self.ask("postgres", document::QUERY)? {
            Answer::Text(text) => {
                let document: Document = serde_json::from_str(&text).map_err(|error| {
                    ResourceError::Other(format!("read what PostgreSQL says of itself: {error}"))
                })?;
                let document = Arc::new(document);
                self.document = Some(document.clone());
                Ok(Presence::Present(document))
            }
            Answer::Unreachable(reason) => Ok(Presence::Absent(reason)),
            Answer::Refused { message, .. } => {
                Err(ResourceError::Other(format!("ask PostgreSQL for its roles and settings: {message}")))
            }
        }
    }

    /// The server's content, where a server is needed: an error says how to start one.
    pub(crate) fn document(&mut self) -> Result<Arc<Document>, ResourceError> {
        match self.presence()? {
            Presence::Present(document) => Ok(document),
            Presence::Absent(reason) => Err(ResourceError::Other(format!(
                "{reason}; look at `pg_lsclusters` and `journalctl -u 'postgresql@*'`, then apply again"
            ))),
        }
    }

    /// The answer to one query; its rows are lines. Nothing can be changed by it.
    pub(crate) fn ask(&mut self, database: &str, query: &str) -> Result<Answer, ResourceError> {
        let server = match self.server() {
            Ok(server) => server,
            Err(reason) => return Ok(Answer::Unreachable(reason)),
        };
        if let Some(session) = self.sessions.get_mut(database) {
            match session.ask(query)? {
                // The server was restarted since: ask once more, in a session of the new one.
                Answer::Unreachable(_) => drop(self.sessions.remove(database)),
                answer => return Ok(answer),
            }
        }
        let mut session = Session::open(&server, account()?, database)?;
        let answer = session.ask(query)?;
        if !matches!(answer, Answer::Unreachable(_)) {
            self.sessions.insert(database.to_owned(), session);
        }
        Ok(answer)
    }

    /// Runs a script; secrets in it are seen neither in an argument list nor in the server's log.
    ///
    /// In one transaction, but for statements such as CREATE DATABASE that cannot be in one.
    pub(crate) fn execute(
        &mut self,
        database: &str,
        script: &str,
        one_transaction: bool,
    ) -> Result<(), ResourceError> {
        let server = self.server().map_err(ResourceError::Other)?;
        self.forget();
        session::execute(&server, account()?, database, script, one_transaction)
    }

    /// Where the server is, or why there is none to ask.
    fn server(&self) -> Result<PostgresServer, String> {
        let server = PostgresServer {
            programs: newest_programs().ok_or("PostgreSQL is not installed yet")?,
            socket: PathBuf::from("/var/run/postgresql"),
            port: 5432,
        };
        let socket = server.socket.join(format!(".s.PGSQL.{}", server.port));
        if !socket.exists() {
            return Err(format!("PostgreSQL is not running yet: {} does not exist", socket.display()));
        }
        Ok(server)
    }
}

/// Numeric ids of the user `postgres`, whom the server knows by its Unix socket.
fn account() -> Result<(u32, u32), ResourceError> {
    let passwd = std::fs::read_to_string("/etc/passwd").map_err(ResourceError::io("read /etc/passwd"))?;
    let accounts = Accounts::parse(&passwd, "", "");
    accounts.user("postgres").map(|account| (account.uid, account.gid)).ok_or_else(|| {
        ResourceError::Other("there is no user `postgres`: the package postgresql must come first".to_owned())
    })
}

/// The newest version's programs. `/usr/bin/psql` is a Perl script that looks for them and takes ten times as long.
fn newest_programs() -> Option<PathBuf> {
    std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u16>().ok())
        .map(|version| (version, Path::new("/usr/lib/postgresql").join(version.to_string()).join("bin")))
        .filter(|(_, programs)| programs.join("psql").exists())
        .max()
        .map(|(_, programs)| programs)
}
