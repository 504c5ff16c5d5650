//! What the metrics say of the process's surroundings: the pool, the queue, the limits.

use std::sync::Arc;

use foundation::database::Occupancy;
use foundation::jobs::Depths;
use foundation::telemetry::Metrics;

use crate::state::App;

/// Registers them. What waits is looked up for as long as the returned work goes on.
pub fn register(app: &Arc<App>, metrics: &Metrics) -> impl Future<Output = ()> + Send + use<> {
    let read = |of: fn(Occupancy) -> usize| {
        let database = app.stores.database.clone();
        move || f64::from(u32::try_from(of(database.occupancy())).unwrap_or(u32::MAX))
    };
    metrics.gauge("database_connections", "Connections to PgBouncer", read(|pool| pool.connections));
    metrics.gauge("database_connections_idle", "Connections that nobody uses", read(|pool| pool.idle));
    metrics.gauge("database_waiting", "Who waits for a connection", read(|pool| pool.waiting));
    metrics.register(|registry| app.limits.limiter.register(registry));
    let depths = Depths::default();
    metrics.register(|registry| depths.register(registry));
    let app = Arc::clone(app);
    async move { depths.keep(&app.stores.database, &app.queue).await }
}
