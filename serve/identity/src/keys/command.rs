//! `identity keys`: what the operator does with the keys.

use std::sync::Arc;

use clap::Subcommand;
use foundation::clock::{SystemClock, SystemRandomness};
use foundation::database::Database;
use foundation::environment::ConfigErrors;
use foundation::problem::Problem;
use foundation::tls::TlsError;
use time::format_description::well_known::Rfc3339;

use super::{Keys, Stores};
use crate::config::StoresConfig;

/// What the operator may do.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make the next signing keys; they sign once everybody had a day to learn of them
    Rotate {
        /// Let the new keys sign at once, and forget all others: for keys that somebody else may have. Sign-ins that are
        /// under way fail, and so do those at clients that do not ask for the key set anew
        #[arg(long)]
        now: bool,
    },
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The environment is not as expected.
    #[error(transparent)]
    Environment(#[from] ConfigErrors),
    /// The authority cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database did not do it.
    #[error("changing the signing keys failed: {0}; is the database there, and `identity migrate` done?")]
    Failed(String),
}

/// Does it, and prints the keys.
///
/// # Errors
/// [`KeysError`].
pub async fn run(command: KeysCommand, variable: impl Fn(&str) -> Option<String>) -> Result<(), KeysError> {
    let config = StoresConfig::read(variable)?;
    let database = Database::new(&config.database, &config.ca)?;
    let made_by = (Arc::new(SystemClock) as _, Arc::new(SystemRandomness) as _);
    let keys = Keys::new(Stores::of_command(&config, database, made_by));
    let KeysCommand::Rotate { now } = command;
    let shown = keys.rotate(now).await.map_err(failed)?;
    for key in shown {
        let at = |time: time::OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
        let until = key.published_until.map(|until| format!(", published until {}", at(until)));
        println!(
            "{} {} signs from {}{}",
            key.algorithm,
            key.id,
            at(key.signs_from),
            until.unwrap_or_default()
        );
    }
    Ok(())
}

fn failed(problem: Problem) -> KeysError {
    KeysError::Failed(problem.document()["detail"].as_str().unwrap_or("see above").to_owned())
}
