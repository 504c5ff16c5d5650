//! A process of the application: one that serves and, unless others do, runs jobs; or one that runs jobs alone.

use std::sync::Arc;

use axum::Router;
use foundation::border::{self, Border};
use foundation::clock::{SystemClock, SystemRandomness};
use foundation::http_client::HttpClient;
use foundation::jobs::Queue;
use foundation::mail::Mailer;
use foundation::problem::registry::Registry;
use foundation::process::{self, StopSignals, listen, told};
use foundation::request::Edges;
use foundation::telemetry::{self, JsonLines, Metrics, Scrubber};
use foundation::webhook::resolve::NameServers;
use foundation::{health, server, tls};
use tokio::sync::watch;

use crate::config::{ServeConfig, Workers};
use crate::state::{App, TOKEN_PREFIX};
use crate::stores::Stores;
use crate::{Failure, codes, gauges, routes, variable, worker};

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
    let stop_signals = StopSignals::hear()?;
    let listener = listen(config.listen.application).await?;
    let metrics_listener = listen(config.metrics).await?;
    let metrics = Arc::new(Metrics::new("app", env!("CARGO_PKG_VERSION"), &config.release));
    let http = process::services(&config.extra_authorities)?;
    let scrubber = Scrubber::new(&[TOKEN_PREFIX]);
    let reports = |dsn| {
        let release = (config.release.as_str(), &config.public_url);
        process::reports(dsn, release, http.clone(), &scrubber, &metrics)
    };
    let (reports, delivery) = config.tracker.clone().map(reports).unzip();
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
        stop_signals.told().await;
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
    let contexts = process::contexts(Edges::new(config.trusted_proxies.clone()), secrets);
    Border { contexts, metrics: Arc::clone(metrics), limits: border::Limits::default() }
}

/// The paths of a process.
fn router(mode: Mode, app: &Arc<App>, border: Border) -> Result<Router, Failure> {
    Ok(match mode {
        Mode::Serve => routes::router(Arc::clone(app), &Registry::new(codes::ALL)?, border)?,
        Mode::Work => border::around(health::router(Arc::clone(&app.health)), border),
    })
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
