//! Checks: claims with probes and evidence.
//!
//! A component writes [`Check`]s against the [`Field`]: it names a [`Vantage`], makes a probe there, and turns what
//! was found into evidence or into a [`Failure`].
//!
//! ```no_run
//! # use bastide_verify::{Check, Failure, Vantage, probe::Reach};
//! let check = Check::new("sshd/closed-to-the-world", "sshd", Some("edge"), "nobody on the internet reaches sshd",
//!     |field| async move {
//!         let address = field.platform.edge().public_address.expect("the edge has one").into();
//!         match field.connect(&Vantage::Internet, address, 22).await? {
//!             Reach::Dropped => Ok("port 22 says nothing to a client on the internet".to_owned()),
//!             other => Err(Failure::Refuted(format!("port 22 is {other} from the internet"))),
//!         }
//!     });
//! ```

mod check;
mod field;
#[cfg(test)]
mod fixture;
pub mod html;
mod place;
pub mod probe;
pub mod reachability;
mod report;
mod runner;

pub use check::{Check, Evidence, Failure, Run};
pub use field::{Field, Front};
pub use place::{BoxFuture, Place, ProbeError, Vantage};
pub use report::{CheckResult, Report, Status};
pub use runner::{Limits, run};
