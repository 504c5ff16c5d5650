//! Something that is asked for over the network when it is needed, and kept for a while.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Mutex;

/// After this long it is asked for anew.
const KEPT: Duration = Duration::from_secs(3600);
/// Whoever waited while somebody else asked in vain does not ask again at once.
const PAUSE: Duration = Duration::from_secs(1);
/// What is kept and does not suffice is asked for anew once in this long.
const AGAIN: Duration = Duration::from_secs(60);

/// At most one asks at a time; the others wait for its answer.
#[derive(Debug)]
pub struct Cached<T>(Mutex<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    kept: Option<(Arc<T>, OffsetDateTime)>,
    failed_at: Option<OffsetDateTime>,
    again_at: Option<OffsetDateTime>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(Slot { kept: None, failed_at: None, again_at: None }))
    }
}

impl<T> Cached<T> {
    /// What is kept, or what `ask` answers. None where somebody has just asked in vain.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub async fn get<E>(
        &self,
        now: OffsetDateTime,
        ask: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Option<Arc<T>>, E> {
        let mut slot = self.0.lock().await;
        match &slot.kept {
            Some((kept, at)) if is_within(*at, now, KEPT) => return Ok(Some(Arc::clone(kept))),
            _ if slot.failed_at.is_some_and(|at| is_within(at, now, PAUSE)) => return Ok(None),
            _ => {}
        }
        slot.ask(now, ask).await.map(Some)
    }

    /// What `ask` answers, because `seen`, which was kept, does not suffice. None where that was tried not long ago.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub async fn get_newer<E>(
        &self,
        seen: &Arc<T>,
        now: OffsetDateTime,
        ask: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Option<Arc<T>>, E> {
        let mut slot = self.0.lock().await;
        match &slot.kept {
            // Somebody else has asked meanwhile.
            Some((kept, _)) if !Arc::ptr_eq(kept, seen) => return Ok(Some(Arc::clone(kept))),
            _ if slot.again_at.is_some_and(|at| is_within(at, now, AGAIN)) => return Ok(None),
            _ => {}
        }
        slot.again_at = Some(now);
        slot.ask(now, ask).await.map(Some)
    }

    /// Asks anew when it is needed next.
    pub async fn forget(&self) {
        self.0.lock().await.kept = None;
    }
}

impl<T> Slot<T> {
    async fn ask<E>(
        &mut self,
        now: OffsetDateTime,
        ask: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        match ask().await {
            Ok(value) => {
                let value = Arc::new(value);
                self.kept = Some((Arc::clone(&value), now));
                self.failed_at = None;
                Ok(value)
            }
            Err(error) => {
                self.failed_at = Some(now);
                Err(error)
            }
        }
    }
}

/// A clock that was set back must not make anything last longer.
fn is_within(at: OffsetDateTime, now: OffsetDateTime, long: Duration) -> bool {
    now >= at && now - at < long
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn it_is_asked_for_when_it_is_needed_and_kept_for_an_hour() {
        let cached = Cached::default();
        let get = async |now, answer: Result<i32, ()>| {
            cached.get(at(now), async || answer).await.map(|value| value.map(|value| *value))
        };
        assert_eq!(get(0, Err(())).await, Err(()));
        assert_eq!(get(0, Ok(1)).await, Ok(None), "somebody has just asked in vain");
        assert_eq!(get(1, Ok(1)).await, Ok(Some(1)));
        assert_eq!(get(3600, Ok(2)).await, Ok(Some(1)));
        assert_eq!(get(3601, Ok(2)).await, Ok(Some(2)));
        cached.forget().await;
        assert_eq!(get(3602, Ok(3)).await, Ok(Some(3)));
    }

    #[tokio::test]
    async fn what_does_not_suffice_is_asked_for_anew_once_a_minute() {
        let cached = Cached::default();
        let first = cached.get(at(0), async || Ok::<_, ()>(1)).await.unwrap().unwrap();
        let newer =
            async |seen: &Arc<i32>, now, answer| cached.get_newer(seen, at(now), async || answer).await;
        let second = newer(&first, 1, Ok::<_, ()>(2)).await.unwrap().unwrap();
        assert_eq!(*second, 2);
        assert_eq!(newer(&first, 2, Ok(3)).await, Ok(Some(Arc::clone(&second))), "it is there already");
        assert_eq!(newer(&second, 60, Ok(3)).await, Ok(None));
        assert_eq!(newer(&second, 61, Err(())).await, Err(()));
        assert_eq!(newer(&second, 62, Ok(3)).await, Ok(None), "an attempt is one also when it failed");
        assert_eq!(newer(&second, 121, Ok(3)).await, Ok(Some(Arc::new(3))));
    }
}
