//! What people see.

pub mod progress;
pub mod style;
pub mod summary;
