//! Facts: reads of the host that many resources share, each done at most once until a change forgets it.

/// What was read of the host so far.
#[derive(Debug, Default)]
pub struct Facts {}
