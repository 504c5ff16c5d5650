//! The login providers of the lab's world.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use login_providers::{Config, ConfigError, serve};
use tokio::signal::unix::{SignalKind, signal};

/// Google, GitHub, Microsoft and Apple for a lab.
#[derive(Parser)]
#[command(name = "login-providers", version, about)]
struct Arguments {
    /// The file that says where they listen and whom they know
    #[arg(long)]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nothing has chosen a cryptography provider before the first line of main");
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("login-providers: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), ConfigError> {
    let config = Config::read(&arguments.config)?;
    serve(config, async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            // Then it ends by being killed.
            Err(_) => std::future::pending().await,
        }
    })
    .await
}
