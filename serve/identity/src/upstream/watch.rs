//! Looks after login providers, so that the first person does not wait for what can be asked before, and a button says what
//! is known without somebody trying it.

use std::sync::Arc;
use std::time::Duration;

use super::health::Standing;
use super::source::Source;

/// A provider that answers is looked at this often.
const WELL: Duration = Duration::from_secs(60);
/// One that does not, this often: as soon as it may be tried again.
const UNWELL: Duration = Duration::from_secs(10);

/// Looks after each of them for as long as the process lives; none waits for another.
pub fn watch(sources: &Arc<[Source]>) {
    for index in 0..sources.len() {
        let sources = Arc::clone(sources);
        tokio::spawn(async move {
            let source = &sources[index];
            let mut outcome = source.prepare().await;
            loop {
                if let Err(error) = &outcome {
                    error.log(&source.provider.name);
                }
                let is_well = outcome.is_ok() && source.wire.health.standing() == Standing::Ok;
                if is_well {
                    tokio::select! {
                        () = tokio::time::sleep(WELL) => {}
                        () = source.wire.health.went_down() => tokio::time::sleep(UNWELL).await,
                    }
                } else {
                    tokio::time::sleep(UNWELL).await;
                }
                outcome = source.probe().await;
            }
        });
    }
}
