//! What runs beside the requests: jobs and schedules. In the application's process, or in one of its own.

use std::sync::Arc;
use std::time::Duration;

use foundation::audit::seal::Sealer;
use foundation::jobs::{Metrics, Registry, Schedule, Worker};
use foundation::webhook::deliver::Deliver;
use foundation::webhook::event::Dispatch;
use foundation::{webhook, write};

use crate::invitations::mail::SendInvitation;
use crate::organizations::purge::Purge;
use crate::state::App;

/// How long a change to an audit event can stay unnoticed at most.
const SEALED_EVERY: Duration = Duration::from_secs(10);
/// How long answers are kept beyond their time at most.
const SWEPT_EVERY: Duration = Duration::from_secs(600);
/// How long the log of a webhook's deliveries is kept.
const DELIVERIES_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A worker with every handler of the application.
pub fn worker(app: &App, metrics: Metrics) -> Worker {
    let database = app.stores.database.clone();
    let (queue, clock, randomness) = (app.queue.clone(), Arc::clone(&app.clock), Arc::clone(&app.randomness));
    let dispatch = Dispatch::new(database.clone(), queue, Arc::clone(&clock), Arc::clone(&randomness));
    let deliver = Deliver {
        database: database.clone(),
        queue: app.queue.clone(),
        client: app.webhooks.clone(),
        keys: Arc::clone(&app.sealing),
        clock: Arc::clone(&clock),
        randomness: Arc::clone(&randomness),
    };
    let registry = Registry::default()
        .with(dispatch)
        .with(deliver)
        .with(Sealer::new(database.clone(), Arc::clone(&clock)))
        .with(write::sweep::Sweeper::new(database.clone(), Arc::clone(&clock)))
        .with(webhook::sweep::Sweeper::new(database.clone(), Arc::clone(&clock), DELIVERIES_KEPT))
        .with(SendInvitation::new(app))
        .with(Purge::new(database.clone()));
    Worker::new(database, app.queue.clone(), registry, clock, randomness)
        .schedules(schedules())
        .metrics(metrics)
}

fn schedules() -> Vec<Schedule> {
    vec![
        Sealer::schedule(SEALED_EVERY),
        write::sweep::Sweeper::schedule(SWEPT_EVERY),
        webhook::sweep::Sweeper::schedule(SWEPT_EVERY),
        Purge::schedule(),
    ]
}
