//! Texts as people may send them.

pub use foundation::text::{Line, Prose};
