//! The slots of one kind in this process: how many jobs run, and for whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::Policy;

/// Slots, of which an organization has no more than its share, so that jobs of others do not wait for its.
pub(super) struct Slots {
    concurrency: usize,
    share: Option<usize>,
    taken: Mutex<HashMap<Option<Uuid>, usize>>,
}

/// One that is taken, until dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    organization: Option<Uuid>,
}

/// What organizations may take of the slots.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// So many each.
    pub(super) each: usize,
    /// And so many more those that have some.
    pub(super) left: Vec<(Uuid, usize)>,
}

impl Slots {
    pub(super) fn new(policy: Policy) -> Self {
        Self { concurrency: policy.concurrency, share: policy.share, taken: Mutex::default() }
    }

    pub(super) fn free(&self) -> usize {
        self.concurrency.saturating_sub(self.lock().values().sum())
    }

    /// What organizations may take; nothing where any may take all.
    pub(super) fn shares(&self) -> Option<Shares> {
        let each = self.share?;
        let taken = self.lock();
        let left = taken.iter().filter_map(|(of, taken)| Some(((*of)?, each.saturating_sub(*taken))));
        Some(Shares { each, left: left.collect() })
    }

    pub(super) fn take(self: &Arc<Self>, organization: Option<Uuid>) -> Slot {
        *self.lock().entry(organization).or_default() += 1;
        Slot { slots: Arc::clone(self), organization }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<Uuid>, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        if let Some(count) = taken.get_mut(&self.organization) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.organization);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_leaves_room_for_whose_it_was() {
        let policy = Policy { concurrency: 4, share: Some(2), ..Policy::default() };
        let (slots, one) = (Arc::new(Slots::new(policy)), Uuid::from_u128(1));
        let (first, second, nobody_s) = (slots.take(Some(one)), slots.take(Some(one)), slots.take(None));
        assert_eq!((slots.free(), slots.shares()), (1, Some(Shares { each: 2, left: vec![(one, 0)] })));
        drop((first, nobody_s));
        assert_eq!((slots.free(), slots.shares()), (3, Some(Shares { each: 2, left: vec![(one, 1)] })));
        drop(second);
        assert_eq!((slots.free(), slots.shares()), (4, Some(Shares { each: 2, left: Vec::new() })));
    }
}
