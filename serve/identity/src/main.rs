//! The OpenID Connect issuer that brokers the login providers: applications know it alone.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use foundation::environment::ConfigErrors;
use foundation::mail::SmtpError;
use foundation::process::StartError;
use foundation::signing::ShortSecret;
use foundation::{migrate, tls};

mod accounts;
mod attempt;
mod audit;
mod config;
mod errands;
mod keys;
mod pages;
mod process;
mod provider;
mod recover;
mod request;
mod routes;
mod schema;
mod sealing;
mod secret;
mod session;
mod settings;
mod state;
mod throttle;
mod upstream;

use audit::{AuditCommand, AuditError};
use config::MigrateConfig;
use keys::command::{KeysCommand, KeysError};
use session::command::{SessionsCommand, SessionsError};

/// The OpenID Connect issuer. Its configuration is its environment.
#[derive(Parser)]
#[command(name = "identity", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default)
    Serve,
    /// Bring the schema up to date
    Migrate,
    /// Print a link that lets somebody in once, within a quarter of an hour, without any login provider
    Recover {
        /// The account's identifier, or an address that one account has
        user: String,
    },
    /// Make the next signing keys
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Read and verify the log of what was done
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// List and end the sessions of people
    Sessions {
        #[command(subcommand)]
        command: SessionsCommand,
    },
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Environment(problems) => Self::Environment(problems),
            error => Self::Keys(error),
        }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Environment(problems) => Self::Environment(problems),
            error => Self::Audit(error),
        }
    }
}

impl From<SessionsError> for Failure {
    fn from(error: SessionsError) -> Self {
        match error {
            SessionsError::Environment(problems) => Self::Environment(problems),
            error => Self::Sessions(error),
        }
    }
}

/// Why a command failed; the environment's problems have an exit code of their own.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Environment(#[from] ConfigErrors),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error(transparent)]
    Migrate(#[from] migrate::MigrateError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("preparing to guard forms: {0}")]
    Secret(#[from] ShortSecret),
    #[error(transparent)]
    Keys(KeysError),
    #[error(transparent)]
    Audit(AuditError),
    #[error(transparent)]
    Sessions(SessionsError),
    #[error("{0} has broken off, which it never may; the log says why")]
    Lost(&'static str),
    #[error("preparing to ask other services: {0}; check EXTRA_CA_FILE")]
    Services(#[from] rustls::Error),
    #[error("preparing to send mail: {0}; is every certificate in EXTRA_CA_FILE an authority's?")]
    Mail(#[from] SmtpError),
    #[error(transparent)]
    Recover(#[from] recover::RecoverError),
    #[error("starting the log: {0}")]
    Log(#[from] tracing::subscriber::SetGlobalDefaultError),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nothing has chosen a cryptography provider before the first line of main");
    let outcome = match arguments.command.unwrap_or(Command::Serve) {
        Command::Audit { command } => match audit::run(command, variable).await {
            Ok(code) => return code,
            Err(error) => Err(error.into()),
        },
        Command::Serve => process::serve().await,
        Command::Migrate => run_migrations().await,
        Command::Recover { user } => recover::run(&user, variable).await,
        Command::Keys { command } => keys::command::run(command, variable).await.map_err(Failure::from),
        Command::Sessions { command } => {
            session::command::run(command, variable).await.map_err(Failure::from)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("identity: {failure}");
            ExitCode::from(if matches!(failure, Failure::Environment(_)) { 2 } else { 1 })
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn run_migrations() -> Result<(), Failure> {
    let config = MigrateConfig::read(variable)?;
    let role = config.serving_role.as_deref();
    let applied = migrate::migrate(schema::MIGRATIONS, &config.database, &config.ca, role).await?;
    for name in &applied {
        println!("applied {name}");
    }
    println!("the schema is at version {}", schema::newest());
    Ok(())
}
