//! Records that jobs are finished, many by one statement: whoever comes while one is under way joins the next.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::store;
use crate::database::{Database, DatabaseError};

/// A job that is finished, and who waits to hear that it is recorded.
struct Finished {
    id: Uuid,
    lease: Uuid,
    recorded: oneshot::Sender<bool>,
}

/// What is finished and not recorded yet.
#[derive(Default)]
pub(super) struct Finishing {
    waiting: Mutex<Vec<Finished>>,
    turn: tokio::sync::Mutex<()>,
}

impl Finishing {
    /// Records that the job is finished; false when its lease was lost and somebody else decides. None when whoever
    /// recorded it for all was ended or failed, which has said so: it is to be tried again.
    ///
    /// # Errors
    /// [`DatabaseError`], of the statement that this call made itself.
    pub(super) async fn record(
        &self,
        database: &Database,
        id: Uuid,
        lease: Uuid,
    ) -> Result<Option<bool>, DatabaseError> {
        let (recorded, answer) = oneshot::channel();
        self.lock().push(Finished { id, lease, recorded });
        {
            let _turn = self.alone().await;
            let together = std::mem::take(&mut *self.lock());
            // Otherwise whoever had the turn before has recorded this one as well.
            if !together.is_empty() {
                record_all(database, together).await?;
            }
        }
        Ok(answer.await.ok())
    }

    /// Keeps others from recording until dropped: two statements that change many of the same rows could wait for each
    /// other.
    pub(super) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Finished>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn record_all(database: &Database, together: Vec<Finished>) -> Result<(), DatabaseError> {
    let held: Vec<(Uuid, Uuid)> = together.iter().map(|finished| (finished.id, finished.lease)).collect();
    let done = store::finish(database, &held).await?;
    for finished in together {
        // Who does not wait any more was ended.
        let _ = finished.recorded.send(done.contains(&finished.id));
    }
    Ok(())
}
