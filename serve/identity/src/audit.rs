//! The issuer's audit log: sealed while it serves, and read and verified by the operator (`identity audit`).

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use foundation::audit::chain::Head;
use foundation::audit::record::Record;
use foundation::audit::seal::Sealer;
use foundation::audit::search::{Filter, View};
use foundation::audit::verify::{Extent, verify};
use foundation::clock::{SystemClock, SystemRandomness, new_id};
use foundation::database::{Database, DatabaseError};
use foundation::environment::ConfigErrors;
use foundation::tls::TlsError;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::config::StoresConfig;
use crate::state::Broker;

/// How long a change to an event can stay unnoticed at most.
const EVERY: Duration = Duration::from_secs(10);
/// Under which organization the issuer's events are: it has none.
const NOBODYS: Uuid = Uuid::nil();

/// What the operator may do.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Print what was done, the newest first
    List {
        /// So many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        most: i64,
        /// Only this action, such as `session.begin`
        #[arg(long)]
        action: Option<String>,
        /// Only what was done by this account
        #[arg(long, value_name = "ACCOUNT")]
        by: Option<Uuid>,
        /// Only what was done to this resource
        #[arg(long, value_name = "ID")]
        to: Option<String>,
        /// Only what was done in this request
        #[arg(long, value_name = "ID")]
        request: Option<String>,
        /// Print each as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify that the log is as it was sealed, and print its head; exit code 4 where it is not
    Verify {
        /// A head that was kept elsewhere, which the log must have: its number and hash
        #[arg(long, value_name = "NUMBER:HASH", value_parser = head)]
        known: Option<Head>,
    },
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The environment is not as expected.
    #[error(transparent)]
    Environment(#[from] ConfigErrors),
    /// The authority cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database does not tell.
    #[error("reading the audit log: {0}")]
    Database(#[from] DatabaseError),
    /// An event cannot be printed.
    #[error("printing the audit log: {0}")]
    Printing(#[from] serde_json::Error),
}

fn head(text: &str) -> Result<Head, String> {
    let parts = text.split_once(':').and_then(|(number, hash)| Some((number.parse().ok()?, hash)));
    match parts {
        Some((number, hash)) if number > 0 && hash.len() == 64 => Ok(Head { number, hash: hash.to_owned() }),
        _ => Err("a head is the number of a batch, a colon, and its hash of 64 characters".to_owned()),
    }
}

/// Seals what was done, every now and then. Never ends.
pub async fn keep(broker: &Broker) {
    let sealer = Sealer::new(broker.database.clone(), Arc::clone(&broker.clock));
    loop {
        match sealer.seal_all().await {
            Ok(sealed) if sealed.batches == 0 => {}
            Ok(sealed) => tracing::debug!(sealed.batches, sealed.events, "audit events are sealed"),
            Err(error) => tracing::warn!(%error, "audit events could not be sealed"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Does it.
///
/// # Errors
/// [`AuditError`].
pub async fn run(
    command: AuditCommand,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<ExitCode, AuditError> {
    let config = StoresConfig::read(variable)?;
    let database = Database::new(&config.database, &config.ca)?;
    let request_id = new_id(&SystemClock, &SystemRandomness).to_string();
    match command {
        AuditCommand::List { most, action, by, to, request, json } => {
            let filter =
                Filter { action, actor_id: by, resource_id: to, request_id: request, ..Filter::default() };
            let view = View::of_platform(&database, request_id.into());
            for record in view.newest(&filter, None, most).await? {
                println!("{}", if json { serde_json::to_string(&record)? } else { line(&record) });
            }
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Verify { known } => {
            let extent = Extent { known: known.as_ref(), ..Extent::default() };
            let found = verify(&database, NOBODYS, &request_id, extent).await?;
            println!("{}", serde_json::to_string(&found)?);
            Ok(if found.intact { ExitCode::SUCCESS } else { ExitCode::from(4) })
        }
    }
}

fn line(record: &Record) -> String {
    let at = record.occurred_at.format(&Rfc3339).unwrap_or_default();
    let actor = record.actor_id.map(|id| format!(" {id}")).unwrap_or_default();
    let of = record.resource_id.as_deref().unwrap_or_default();
    let from = record.address.as_deref().unwrap_or("the host");
    format!(
        "{at} {} {} {} {of} by {}{actor} from {from} {}",
        record.result, record.action, record.resource_kind, record.actor_kind, record.changes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_number_and_a_hash() {
        let hash = "a".repeat(64);
        assert_eq!(head(&format!("7:{hash}")), Ok(Head { number: 7, hash }));
        for bad in ["", "7", "7:a", &format!("0:{}", "a".repeat(64)), &format!("x:{}", "a".repeat(64))] {
            assert!(head(bad).is_err(), "{bad}");
        }
    }
}
