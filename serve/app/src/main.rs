//! The reference application: one static binary that keeps the platform's contract.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

mod agents;
mod audit_events;
mod codes;
mod config;
mod deliveries;
mod events;
mod health;
mod invitations;
mod limits;
mod mail;
mod members;
mod organizations;
mod overlap;
mod pages;
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
mod text;
mod tokens;
mod webhooks;
mod worker;

use config::{MigrateConfig, ServeConfig};
use foundation::border::{self, Border};
use foundation::clock::{SystemClock, SystemRandomness};
use foundation::environment::{ConfigErrors, Listen};
use foundation::http_client::{self, HttpClient};
use foundation::problem::registry::{Registry, RegistryError};
use foundation::request::{Contexts, Edges};
use foundation::telemetry::sentry::{Delivery, ErrorReports, Tracker};
use foundation::telemetry::{self, JsonLines, Metrics, Scrubber};
use foundation::webhook::resolve::NameServers;
use foundation::{migrate, server, tls};
use mail::Mailer;
use state::{App, TOKEN_PREFIX};
use stores::Stores;

/// The C library's allocator takes twice the processor time, and keeps what only the start needed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Bring the schema up to date, directly on PostgreSQL
    Migrate,
    /// Ask the application of this environment whether it is ready: 0 yes, 1 no
    Health,
    /// Print the description of the API, OpenAPI 3.1
    Openapi,
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
    Health(#[from] health::HealthError),
    #[error(
        "listening on {address}: {source}; is another process on this port, and is the address this host's?"
    )]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("preparing to hear signals: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Problems(#[from] RegistryError),
    #[error(transparent)]
    Document(#[from] foundation::openapi::DocumentError),
    #[error("preparing to ask other services: {0}; check EXTRA_CA_FILE")]
    Services(#[from] rustls::Error),
    #[error(transparent)]
    Prepare(#[from] state::PrepareError),
    #[error("preparing to send mail: {0}; is every certificate in EXTRA_CA_FILE an authority's?")]
    Mail(#[from] lettre::transport::smtp::Error),
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
        Command::Serve => serve().await,
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

async fn serve() -> Result<(), Failure> {
    let config = ServeConfig::read(variable)?;
    let tls = config.listen.tls.as_ref().map(tls::server).transpose()?;
    let terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let application = listen(config.listen.application).await?;
    let metrics_listener = listen(config.metrics).await?;
    let metrics = Arc::new(Metrics::new("app", env!("CARGO_PKG_VERSION"), &config.release));
    let stores = Stores::new(&config)?;
    let health = Arc::new(stores.health(&metrics));
    let (clock, randomness) = (Arc::new(SystemClock), Arc::new(SystemRandomness));
    let scrubber = Scrubber::new(&[TOKEN_PREFIX]);
    let contexts = Contexts {
        clock: clock.clone(),
        randomness: randomness.clone(),
        edges: Edges::new(config.trusted_proxies.clone()),
        secrets: scrubber.clone(),
    };
    let border = Border { contexts, metrics: Arc::clone(&metrics), limits: border::Limits::default() };
    let problems = Registry::new(codes::ALL)?;
    let mailer =
        config.mail.clone().map(|settings| Mailer::new(settings, Arc::new(NameServers::of_system())));
    let mailer = mailer.transpose()?.map(Arc::new);
    let http = http_client(&config)?;
    let (reports, delivery) = reports(&config, http.clone(), &scrubber, &metrics).unzip();
    let app = Arc::new(App::new(&config, stores, health, http, mailer, (clock, randomness))?);

    JsonLines::new(Arc::new(SystemClock), scrubber, std::io::stdout()).install(reports)?;
    tracing::info!(
        address = %config.listen.application,
        metrics = %config.metrics,
        tls = tls.is_some(),
        mail = app.mail.is_some(),
        release = app.release,
        "serving"
    );
    // Metrics stay readable while the application drains: their task ends with the process.
    tokio::spawn(server::serve(
        metrics_listener,
        None,
        telemetry::router(Arc::clone(&metrics)),
        std::future::pending(),
    ));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (end, ended) = tokio::sync::watch::channel(false);
    let watching = tokio::spawn(watch(&app, &metrics, ended.clone()));
    let reporting = delivery.map(|delivery| tokio::spawn(delivery.run(told(ended))));
    let jobs = tokio::spawn(worker(&app, &metrics).run(told(stopped.clone())));
    let router = routes::router(Arc::clone(&app), &problems, border)?;
    let serving = server::serve(application, tls, router, told(stopped));
    let stopping = async {
        told_to_stop(terminate, interrupt).await;
        // Whoever does not listen any more has ended.
        let _ = stop.send(true);
    };
    let tokens = &app.authentication.tokens;
    tokio::select! {
        _ = async { tokio::join!(serving, stopping) } => {}
        () = tokens.keep_last_used() => {}
    }
    if let Err(error) = tokens.write_last_used().await {
        tracing::warn!(%error, "the last uses of tokens could not be written");
    }
    // A worker that panicked has said so in the log.
    let _ = jobs.await;
    // Nothing is refused and nothing fails any more: what was and did, is written and reported.
    let _ = end.send(true);
    let _ = watching.await;
    if let Some(reporting) = reporting {
        let _ = reporting.await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Completes when told to stop.
async fn told(mut stopped: tokio::sync::watch::Receiver<bool>) {
    // The sender ends only with the process.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// With what services outside the platform are asked.
fn http_client(config: &ServeConfig) -> Result<HttpClient, rustls::Error> {
    let resolver = Arc::new(NameServers::of_system());
    // Somebody waits for it.
    let limits = http_client::Limits { total: Duration::from_secs(5), ..http_client::Limits::default() };
    HttpClient::new(resolver, &config.extra_authorities, limits)
}

/// What reports errors, if there is a tracker.
fn reports(
    config: &ServeConfig,
    client: HttpClient,
    scrubber: &Scrubber,
    metrics: &Metrics,
) -> Option<(ErrorReports, Delivery)> {
    let tracker = Tracker {
        dsn: config.tracker.clone()?,
        release: config.release.clone(),
        environment: config.public_url.host_str().unwrap_or_default().to_owned(),
        client,
    };
    let (clock, randomness) = (Arc::new(SystemClock), Arc::new(SystemRandomness));
    Some(ErrorReports::new(tracker, scrubber.clone(), clock, randomness, metrics))
}

/// What audits refusals, until told to end.
fn watch(
    app: &App,
    metrics: &Metrics,
    ended: tokio::sync::watch::Receiver<bool>,
) -> impl Future<Output = ()> + use<> {
    let watch = Arc::clone(&app.authentication.watch);
    metrics.register(|registry| watch.register(registry));
    async move { watch.keep(told(ended)).await }
}

/// What runs jobs within this process.
fn worker(app: &App, metrics: &Metrics) -> foundation::jobs::Worker {
    let counts = foundation::jobs::Metrics::default();
    metrics.register(|registry| counts.register(registry));
    worker::worker(app, counts)
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|source| Failure::Listen { address, source })
}

async fn told_to_stop(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
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
