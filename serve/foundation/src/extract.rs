//! What handlers take from a request. Every way to be wrong is a problem that says where.

mod body;
mod form;
mod json;
mod path;
mod place;
mod query;
mod strict;

pub use body::{BodyLimits, Bytes};
pub use form::{Form, FormBody};
pub use json::{Json, JsonBody, given, patched};
pub use path::Path;
pub use query::{Queries, Query};
