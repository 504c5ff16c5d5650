//! A process of the application: one that serves and, unless others do, runs jobs; or one that runs jobs alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use foundation::border::{self, Border};
use foundation::clock::{SystemClock, SystemRandomness};
use foundation::http_client::{self, HttpClient};
use foundation::jobs::Queue;
use foundation::problem::registry::Registry;
use foundation::request::{Contexts, Edges};
use foundation::telemetry::sentry::{Delivery, ErrorReports, Tracker};
use foundation::telemetry::{self, JsonLines, Metrics, Scrubber};
use foundation::webhook::resolve::NameServers;
use foundation::{health, server, tls};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::config::{ServeConfig, Workers};
use crate::state::{App, TOKEN_PREFIX};
use crate::stores::Stores;
use crate::{Failure, codes, gauges, routes, variable, worker};
use foundation::mail::Mailer;

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It answers people and agents.
    Serve,
    /// It runs jobs, and answers nobody but those who ask how it is.
    Work,
}

/// Runs until SIGTERM or SIGINT, and then ends in order.
pub async fn run(mode: Mode) -> Result<(), Failure> {
    let config = ServeConfig::read(variable)?;
    let tls = config.listen.tls.as_ref().map(tls::server).transpose()?;
    let terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let listener = listen(config.listen.application).await?;
    let metrics_listener = listen(config.metrics).await?;
    let metrics = Arc::new(Metrics::new("app", env!("CARGO_PKG_VERSION"), &config.release));
    let http = http_client(&config)?;
    let scrubber = Scrubber::new(&[TOKEN_PREFIX]);
    let (reports, delivery) = reports(&config, http.clone(), &scrubber, &metrics).unzip();
    let app = application(&config, &metrics, http)?;
    let border = border(&config, &metrics, scrubber.clone());

    JsonLines::new(Arc::new(SystemClock), scrubber, std::io::stdout()).install(reports)?;
    tracing::info!(
        address = %config.listen.application,
        metrics = %config.metrics,
        tls = tls.is_some(),
        mail = app.mail.is_some(),
        release = app.release,
        "{}",
        if mode == Mode::Serve { "serving" } else { "working" }
    );
    // Metrics stay readable while the application drains: their tasks end with the process.
    tokio::spawn(gauges::register(&app, &metrics));
    tokio::spawn(server::serve(
        metrics_listener,
        None,
        telemetry::router(Arc::clone(&metrics)),
        std::future::pending(),
    ));
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    let watching = tokio::spawn(watch_refusals(&app, &metrics, ended.clone()));
    let reporting = delivery.map(|delivery| tokio::spawn(delivery.run(told(ended))));
    let jobs = match (mode, config.workers) {
        (Mode::Serve, Workers::Elsewhere) => tokio::spawn(forward(app.queue.clone(), told(stopped.clone()))),
        _ => tokio::spawn(worker(&app, &metrics).run(told(stopped.clone()))),
    };
    let router = router(mode, &app, border)?;
    let serving = server::serve(listener, tls, router, told(stopped));
    let stopping = async {
        told_to_stop(terminate, interrupt).await;
        // Whoever does not listen any more has ended.
        let _ = stop.send(true);
    };
    let tokens = &app.authentication.tokens;
    tokio::select! {
        _ = async { tokio::join!(serving, stopping) } => {}
        () = tokens.keep_last_used() => {}
        () = app.limits.limiter.keep() => {}
    }
    app.limits.limiter.settle().await;
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

/// What requests and jobs use; nothing is connected yet.
fn application(config: &ServeConfig, metrics: &Metrics, http: HttpClient) -> Result<Arc<App>, Failure> {
    let stores = Stores::new(config, metrics)?;
    let health = Arc::new(stores.health(metrics));
    let mailer =
        config.mail.clone().map(|settings| Mailer::new(settings, Arc::new(NameServers::of_system())));
    let mailer = mailer.transpose()?.map(Arc::new);
    let made_by = (Arc::new(SystemClock) as _, Arc::new(SystemRandomness) as _);
    Ok(Arc::new(App::new(config, stores, health, http, mailer, made_by)?))
}

fn border(config: &ServeConfig, metrics: &Arc<Metrics>, secrets: Scrubber) -> Border {
    let contexts = Contexts {
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
        edges: Edges::new(config.trusted_proxies.clone()),
        secrets,
    };
    Border { contexts, metrics: Arc::clone(metrics), limits: border::Limits::default() }
}

/// The paths of a process.
fn router(mode: Mode, app: &Arc<App>, border: Border) -> Result<Router, Failure> {
    Ok(match mode {
        Mode::Serve => routes::router(Arc::clone(app), &Registry::new(codes::ALL)?, border)?,
        Mode::Work => border::around(health::router(Arc::clone(&app.health)), border),
    })
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
fn watch_refusals(
    app: &App,
    metrics: &Metrics,
    ended: watch::Receiver<bool>,
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

/// Where others run the jobs, tells them of what is written here.
async fn forward(queue: Queue, stop: impl Future<Output = ()>) {
    tokio::select! {
        () = queue.forward() => {}
        () = stop => {}
    }
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
