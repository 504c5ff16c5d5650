//! The process that serves.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use foundation::border::{self, Border};
use foundation::clock::{SystemClock, SystemRandomness};
use foundation::database::Database;
use foundation::health::Health;
use foundation::http_client::HttpClient;
use foundation::mail::Mailer;
use foundation::process::{self, StopSignals, listen, told};
use foundation::request::Edges;
use foundation::telemetry::{self, JsonLines, Metrics, Scrubber};
use foundation::webhook::resolve::NameServers;
use foundation::{server, tls};
use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::ServeConfig;
use crate::state::{Broker, CHECK_LIMIT};
use crate::{Failure, audit, errands, provider, routes, schema, sealing, variable};

/// Longer than the longest request for a sign-in.
const LONGEST_URI: usize = 20 << 10;

/// Runs until SIGTERM or SIGINT, and then ends in order.
pub async fn serve() -> Result<(), Failure> {
    let config = ServeConfig::read(variable)?;
    let tls = config.listen.tls.as_ref().map(tls::server).transpose()?;
    let stop_signals = StopSignals::hear()?;
    let hangup = process::hear(SignalKind::hangup())?;
    let listener = listen(config.listen.application).await?;
    let metrics_listener = listen(config.metrics).await?;
    let metrics = Arc::new(Metrics::new("identity", env!("CARGO_PKG_VERSION"), &config.release));
    let scrubber = Scrubber::new(&[]);
    let http = process::services(&config.extra_authorities)?;
    let reports = |dsn| {
        let release = (config.release.as_str(), &config.public_url);
        process::reports(dsn, release, http.clone(), &scrubber, &metrics)
    };
    let (reports, delivery) = config.tracker.clone().map(reports).unzip();
    let broker = Arc::new(broker(&config, &metrics, http)?);
    let contexts = process::contexts(Edges::new(config.trusted_proxies.clone()), scrubber.clone());
    // Every parameter of an authorization request may be as long as it may be.
    let limits = border::Limits { uri_bytes: LONGEST_URI, ..border::Limits::default() };
    let border = Border { contexts, metrics: Arc::clone(&metrics), limits };
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
    let kept = keep(&broker, config.sealing_keys_file.clone(), hangup);
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
    let ends = stopped.clone();
    let errands = tokio::spawn(errands::run(Arc::clone(&broker), counts, move || told(ends.clone())));
    let serving = server::serve(listener, tls, routes::router(broker, border), told(stopped));
    let stopping = async {
        let lost = tokio::select! {
            () = stop_signals.told() => None,
            lost = kept => Some(lost),
        };
        // Whoever does not listen any more has ended.
        let _ = stop.send(true);
        lost
    };
    let ((), lost) = tokio::join!(serving, stopping);
    // One that panicked has said so in the log.
    let _ = errands.await;
    // Nothing fails any more: what did, is reported.
    let _ = end.send(true);
    if let Some(reporting) = reporting {
        let _ = reporting.await;
    }
    match lost {
        None => {
            tracing::info!("stopped");
            Ok(())
        }
        Some(task) => Err(Failure::Lost(task)),
    }
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
    let broker = Broker::new(config, database, health, http, mailer, made_by)?;
    broker.upstreams.register(metrics);
    broker.provider.register(metrics);
    broker.throttle.register(metrics);
    Ok(broker)
}

/// Work that goes on as long as the process lives.
type Endless = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keeps what has to be kept in order as long as the process lives. What is undone at its end is done by the next one.
fn keep(
    broker: &Arc<Broker>,
    sealing_keys: PathBuf,
    hangup: Signal,
) -> impl Future<Output = &'static str> + use<> {
    let (keys, swept, sealed) = (Arc::clone(broker), Arc::clone(broker), Arc::clone(broker));
    let ring = Arc::clone(&broker.sealing);
    first_lost([
        (
            "looking after the signing keys",
            Box::pin(async move { keys.provider.keys.keep().await }) as Endless,
        ),
        ("sweeping", Box::pin(async move { provider::sweep::keep(&swept).await })),
        ("sealing the audit log", Box::pin(async move { audit::keep(&sealed).await })),
        (
            "following the sealing keys",
            Box::pin(async move { sealing::keep(&ring, &sealing_keys, hangup).await }),
        ),
    ])
}

/// Does each as a task of its own; the name of the first that has ended, which none may, by a panic.
fn first_lost<const N: usize>(
    all: [(&'static str, Endless); N],
) -> impl Future<Output = &'static str> + use<N> {
    let mut tasks = JoinSet::new();
    let names: HashMap<_, _> = all.into_iter().map(|(name, work)| (tasks.spawn(work).id(), name)).collect();
    async move {
        let id = match tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => Some(id),
            Some(Err(error)) => Some(error.id()),
            None => None,
        };
        id.and_then(|id| names.get(&id).copied()).unwrap_or("a task")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_task_that_breaks_off_is_named() {
        let lost = first_lost([
            ("one", Box::pin(std::future::pending()) as Endless),
            ("other", Box::pin(async { panic!("as a mistake does") })),
        ]);
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), lost).await, Ok("other"));
    }
}
