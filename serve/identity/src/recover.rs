//! `identity recover USER`: an operator's way in for somebody whose login providers are all down.

use std::sync::Arc;

use axum::http::StatusCode;
use foundation::audit::Origin;
use foundation::clock::{SystemClock, SystemRandomness, new_id};
use foundation::database::Database;
use foundation::problem::Problem;
use foundation::write::Writes;
use foundation::write::idempotency::{Answer, KEPT_FOR};

use crate::Failure;
use crate::accounts::recovery::{self, GOOD_FOR, Link, Unclear};
use crate::config::RecoverConfig;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It is not clear whose it would be.
    #[error("making a way in: {0}")]
    Unclear(#[from] Unclear),
    /// It cannot be written down.
    #[error("making a way in: {}; does PostgreSQL answer, and is the schema up to date?", .0.code().title)]
    Database(Problem),
}

/// Makes the link, and prints it.
pub async fn run(user: &str, variable: impl Fn(&str) -> Option<String>) -> Result<(), Failure> {
    let config = RecoverConfig::read(variable)?;
    let database = Database::new(&config.stores.database, &config.stores.ca)?;
    let writes = Writes::new(database, Arc::new(SystemClock), Arc::new(SystemRandomness), KEPT_FOR);
    let link = make(&writes, user).await?;
    let Link { account, secret } = &link;
    let minutes = GOOD_FOR.as_secs() / 60;
    eprintln!("for account {account}; it lets whoever has it in, once, within {minutes} minutes");
    println!("{}recover/{secret}", config.public_url);
    Ok(())
}

async fn make(writes: &Writes, user: &str) -> Result<Link, RecoverError> {
    let request_id = new_id(&SystemClock, &SystemRandomness).to_string();
    let origin = Origin::of_system(None, request_id);
    let mut unit = writes.begin_without_key(&origin).await.map_err(RecoverError::Database)?;
    let account = recovery::find(&unit, user).await.map_err(RecoverError::Database)??;
    let link = recovery::make(&mut unit, &account, &SystemRandomness);
    unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.map_err(RecoverError::Database)?;
    Ok(link)
}
