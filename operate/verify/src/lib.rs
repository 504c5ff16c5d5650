//! Checks: claims with probes and evidence.

mod check;
mod field;

pub use check::{Check, Evidence, Failure, Run};
pub use field::{Field, Vantage};
