//! `identity sessions`: what the operator sees and ends.

use std::sync::Arc;

use clap::Subcommand;
use foundation::audit::Origin;
use foundation::clock::{self, Clock as _, SystemClock, SystemRandomness};
use foundation::database::{Database, DatabaseError};
use foundation::environment::ConfigErrors;
use foundation::problem::Problem;
use foundation::tls::TlsError;
use foundation::write::Writes;
use foundation::write::idempotency::{Answer, KEPT_FOR};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Ending, end};
use crate::config::StoresConfig;

const ACCOUNTS: &str =
    "SELECT id FROM accounts WHERE id = $1 OR lower(email) = lower($2) ORDER BY id LIMIT 2";
const ACCOUNT_OF: &str = "SELECT account_id AS id FROM browser_sessions WHERE id = $1";
const LIST: &str = "SELECT id, account_id, provider, authenticated_at, last_seen_at, address, user_agent \
     FROM browser_sessions WHERE ($1::uuid IS NULL OR account_id = $1) AND expires_at > $2 \
     ORDER BY account_id, authenticated_at, id";

/// What the operator may do.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// Print the browsers in which people are signed in
    List {
        /// Those of one account only: its identifier, or an address that one account has
        user: Option<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// End a session with everything that was handed out in it, and tell every client
    End {
        /// The session, as `list` shows it
        #[arg(required_unless_present = "all_of", conflicts_with = "all_of")]
        session: Option<Uuid>,
        /// All sessions of this account, and what clients were given for the time when the person is away
        #[arg(long, value_name = "USER")]
        all_of: Option<String>,
    },
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// The environment is not as expected.
    #[error(transparent)]
    Environment(#[from] ConfigErrors),
    /// The authority cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database did not do it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Nobody is called so.
    #[error("there is no account {0:?}; name its identifier, or its address as the account has it")]
    Nobody(String),
    /// More than one account has the address.
    #[error("several accounts have the address {0:?}; name the identifier of one")]
    Several(String),
    /// There is no such session.
    #[error("there is no session {0}; see `identity sessions list`")]
    NoSession(Uuid),
    /// The sessions could not be ended.
    #[error("ending sessions failed: {0}")]
    Failed(String),
    /// The list cannot be printed.
    #[error("printing the sessions failed: {0}")]
    Printing(#[from] serde_json::Error),
}

/// A session as the operator sees it.
#[derive(Debug, Serialize)]
struct Shown {
    id: Uuid,
    account: Uuid,
    provider: String,
    #[serde(with = "time::serde::rfc3339")]
    authenticated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_seen_at: OffsetDateTime,
    address: String,
    user_agent: Option<String>,
}

/// Does it.
///
/// # Errors
/// [`SessionsError`].
pub async fn run(
    command: SessionsCommand,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), SessionsError> {
    let config = StoresConfig::read(variable)?;
    let database = Database::new(&config.database, &config.ca)?;
    match command {
        SessionsCommand::List { user, json } => {
            let account = match user {
                Some(user) => Some(account(&database, &user).await?),
                None => None,
            };
            let sessions = list(&database, account).await?;
            if json {
                println!("{}", serde_json::to_string(&serde_json::json!({ "sessions": sessions }))?);
            } else {
                sessions.iter().for_each(print);
            }
        }
        SessionsCommand::End { session: Some(session), .. } => {
            let rows = ask(&database, ACCOUNT_OF, &[&session]).await?;
            let account = rows.first().ok_or(SessionsError::NoSession(session))?.get("id");
            let ending = Ending { one: Some(session), ..Ending::default() };
            if end_them(database, account, ending).await? == 0 {
                return Err(SessionsError::NoSession(session));
            }
            println!("ended {session}");
        }
        SessionsCommand::End { all_of, .. } => {
            let account = account(&database, &all_of.unwrap_or_default()).await?;
            let ending = Ending { and_offline: true, ..Ending::default() };
            println!("ended {} sessions of {account}", end_them(database, account, ending).await?);
        }
    }
    Ok(())
}

async fn ask(
    database: &Database,
    sql: &str,
    values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<Vec<Row>, DatabaseError> {
    database.ask(async |client| client.query(&client.prepare_cached(sql).await?, values).await).await
}

async fn account(database: &Database, user: &str) -> Result<Uuid, SessionsError> {
    let id = Uuid::parse_str(user).ok();
    match ask(database, ACCOUNTS, &[&id, &user]).await?.as_slice() {
        [] => Err(SessionsError::Nobody(user.to_owned())),
        [one] => Ok(one.get("id")),
        _ => Err(SessionsError::Several(user.to_owned())),
    }
}

async fn list(database: &Database, account: Option<Uuid>) -> Result<Vec<Shown>, SessionsError> {
    let rows = ask(database, LIST, &[&account, &SystemClock.now()]).await?;
    let shown = rows.iter().map(|row| Shown {
        id: row.get("id"),
        account: row.get("account_id"),
        provider: row.get("provider"),
        authenticated_at: row.get("authenticated_at"),
        last_seen_at: row.get("last_seen_at"),
        address: row.get("address"),
        user_agent: row.get("user_agent"),
    });
    Ok(shown.collect())
}

fn print(session: &Shown) {
    let at = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
    println!(
        "{} of {} by {} since {}, used {}, from {} {}",
        session.id,
        session.account,
        session.provider,
        at(session.authenticated_at),
        at(session.last_seen_at),
        session.address,
        session.user_agent.as_deref().unwrap_or_default()
    );
}

async fn end_them(database: Database, account: Uuid, ending: Ending<'_>) -> Result<usize, SessionsError> {
    let writes = Writes::new(database, Arc::new(SystemClock), Arc::new(SystemRandomness), KEPT_FOR);
    let request_id = clock::new_id(&SystemClock, &SystemRandomness).to_string();
    let mut unit = writes.begin_without_key(&Origin::of_system(None, request_id)).await.map_err(failed)?;
    let count = end(&mut unit, None, account, ending).await.map_err(failed)?;
    unit.end(Ok(Answer::empty(axum::http::StatusCode::NO_CONTENT))).await.map_err(failed)?;
    Ok(count)
}

fn failed(problem: Problem) -> SessionsError {
    SessionsError::Failed(
        problem.document()["detail"].as_str().unwrap_or("the database refused it").to_owned(),
    )
}
