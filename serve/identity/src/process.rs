//! The process that serves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use foundation::border::{self, Border};
use foundation::clock::{SystemClock, SystemRandomness};
use foundation::database::Database;
use foundation::health::Health;
use foundation::http_client::{self, HttpClient};
use foundation::mail::Mailer;
use foundation::request::{Contexts, Edges};
use foundation::telemetry::sentry::{Delivery, ErrorReports, Tracker};
use foundation::telemetry::{self, JsonLines, Metrics, Scrubber};
use foundation::webhook::resolve::NameServers;
use foundation::{server, tls};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::config::ServeConfig;
use crate::state::Broker;
use crate::{Failure, errands, provider, routes, schema, sealing, variable};

/// Longer than the database takes to be given up, shorter than whoever asks for readiness waits.
const CHECK_LIMIT: Duration = Duration::from_millis(2_500);

/// Runs until SIGTERM or SIGINT, and then ends in order.
pub async fn serve() -> Result<(), Failure> {
    let config = ServeConfig::read(variable)?;
    let tls = config.listen.tls.as_ref().map(tls::server).transpose()?;
    let terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let hangup = signal(SignalKind::hangup()).map_err(Failure::Signals)?;
    let listener = listen(config.listen.application).await?;
    let metrics_listener = listen(config.metrics).await?;
    let metrics = Arc::new(Metrics::new("identity", env!("CARGO_PKG_VERSION"), &config.release));
    let scrubber = Scrubber::new(&[]);
    let http = http_client(&config)?;
    let (reports, delivery) = reports(&config, http.clone(), &scrubber, &metrics).unzip();
    let broker = Arc::new(broker(&config, &metrics, http)?);
    let contexts = Contexts {
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
        edges: Edges::new(config.trusted_proxies.clone()),
        secrets: scrubber.clone(),
    };
    let border = Border { contexts, metrics: Arc::clone(&metrics), limits: border::Limits::default() };
    JsonLines::new(Arc::new(SystemClock), scrubber, std::io::stdout()).install(reports)?;
    tracing::info!(
        address = %config.listen.application,
        metrics = %config.metrics,
        issuer = broker.issuer,
        clients = config.settings.clients.len(),
        providers = config.settings.providers.len(),
        mail = broker.mailer.is_some(),
        release = config.release,
        "serving"
    );
    broker.upstreams.watch();
    tokio::spawn(keep(Arc::clone(&broker), config.sealing_keys_file.clone(), hangup));
    // Metrics stay readable while requests are finished: their task ends with the process.
    tokio::spawn(server::serve(
        metrics_listener,
        None,
        telemetry::router(Arc::clone(&metrics)),
        std::future::pending(),
    ));
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    let reporting = delivery.map(|delivery| tokio::spawn(delivery.run(told(ended))));
    let counts = errands::Counts::default();
    metrics.register(|registry| counts.register(registry));
    let errands = tokio::spawn(errands::run(Arc::clone(&broker), counts, told(stopped.clone())));
    let serving = server::serve(listener, tls, routes::router(broker, border), told(stopped));
    let stopping = async {
        told_to_stop(terminate, interrupt).await;
        // Whoever does not listen any more has ended.
        let _ = stop.send(true);
    };
    tokio::join!(serving, stopping);
    // One that panicked has said so in the log.
    let _ = errands.await;
    // Nothing fails any more: what did, is reported.
    let _ = end.send(true);
    if let Some(reporting) = reporting {
        let _ = reporting.await;
    }
    tracing::info!("stopped");
    Ok(())
}

fn broker(config: &ServeConfig, metrics: &Metrics, http: HttpClient) -> Result<Broker, Failure> {
    let database = Database::new(&config.stores.database, &config.stores.ca)?;
    let checked = database.clone();
    let health = Health::new(metrics).check("database", CHECK_LIMIT, move || {
        let database = checked.clone();
        async move { database.check(schema::newest()).await }
    });
    let mailer =
        config.mail.clone().map(|settings| Mailer::new(settings, Arc::new(NameServers::of_system())));
    let mailer = mailer.transpose()?;
    let made_by = (Arc::new(SystemClock) as _, Arc::new(SystemRandomness) as _);
    let broker = Broker::new(config, database, Arc::new(health), http, mailer, made_by)?;
    broker.upstreams.register(metrics);
    broker.provider.register(metrics);
    broker.throttle.register(metrics);
    Ok(broker)
}

/// With what login providers and clients are asked.
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

/// Keeps what has to be kept in order as long as the process lives. What is undone at its end is done by the next one.
async fn keep(broker: Arc<Broker>, sealing_keys: PathBuf, hangup: Signal) {
    let follow = sealing::keep(&broker.sealing, &sealing_keys, hangup);
    tokio::join!(broker.provider.keys.keep(), provider::sweep::keep(&broker), follow);
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|source| Failure::Listen { address, source })
}

/// Completes when told to stop.
async fn told(mut stopped: watch::Receiver<bool>) {
    // The sender ends only with the process.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn told_to_stop(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
