//! The reference application: one static binary that keeps the platform's contract.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod agents;
mod audit_events;
mod codes;
mod config;
mod deliveries;
mod events;
mod gauges;
mod health;
mod invitations;
mod jobs;
mod limits;
mod members;
mod organizations;
mod overlap;
mod pages;
mod process;
mod projects;
mod quota;
mod role;
mod routes;
mod schema;
mod sessions;
mod sign_in;
mod state;
mod stores;
mod tasks;
mod tokens;
mod webhooks;
mod worker;

use config::MigrateConfig;
use foundation::environment::{ConfigErrors, Listen};
use foundation::problem::registry::{Registry, RegistryError};
use foundation::process::StartError;
use foundation::{migrate, tls};
use jobs::{JobsCommand, JobsError};
use process::Mode;

/// The reference application. Its configuration is its environment.
#[derive(Parser)]
#[command(name = "app", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default)
    Serve,
    /// Run jobs, and nothing else, until SIGTERM or SIGINT
    Work,
    /// Say what jobs wait and which were given up, and let those run again or remove them
    Jobs {
        #[command(subcommand)]
        command: JobsCommand,
    },
    /// Bring the schema up to date, directly on PostgreSQL
    Migrate,
    /// Ask the application of this environment whether it is ready: 0 yes, 1 no
    Health,
    /// Print the description of the API, OpenAPI 3.1
    Openapi,
}

impl From<JobsError> for Failure {
    fn from(error: JobsError) -> Self {
        match error {
            JobsError::Environment(problems) => Self::Environment(problems),
            error => Self::Jobs(error),
        }
    }
}

/// Why a command failed; the environment's problems have an exit code of their own.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Environment(#[from] ConfigErrors),
    #[error(transparent)]
    Stores(#[from] stores::StoresError),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error(transparent)]
    Migrate(#[from] migrate::MigrateError),
    #[error(transparent)]
    Jobs(JobsError),
    #[error(transparent)]
    Health(#[from] health::HealthError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Problems(#[from] RegistryError),
    #[error(transparent)]
    Document(#[from] foundation::openapi::DocumentError),
    #[error("preparing to ask other services: {0}; check EXTRA_CA_FILE")]
    Services(#[from] rustls::Error),
    #[error(transparent)]
    Prepare(#[from] state::PrepareError),
    #[error("preparing to send mail: {0}; is every certificate in EXTRA_CA_FILE an authority's?")]
    Mail(#[from] foundation::mail::SmtpError),
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
        Command::Serve => process::run(Mode::Serve).await,
        Command::Work => process::run(Mode::Work).await,
        Command::Jobs { command } => jobs::run(command, variable).await.map_err(Failure::from),
        Command::Migrate => run_migrations().await,
        Command::Health => ask_health().await,
        Command::Openapi => print_document(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("app: {failure}");
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

async fn ask_health() -> Result<(), Failure> {
    health::ask(&Listen::read(variable)?).await?;
    println!("ready");
    Ok(())
}

fn print_document() -> Result<(), Failure> {
    print!("{}", routes::document(&Registry::new(codes::ALL)?)?.to_json());
    Ok(())
}
