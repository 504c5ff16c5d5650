//! Resources: pieces of a host's state that can be observed, compared and changed.
//!
//! A resource is plain data. It is made on the operator's machine, printed there as part of a plan, sent as it is
//! to the agent on the host, and applied there: what is shown is what runs. Each kind lives in a file of its own,
//! its fields beside the code that observes and changes it.

mod apt_repository;
mod certificate;
mod command;
mod container_image;
mod directory;
mod file;
mod firewall;
mod package;
mod postgres;
mod slots;
mod sysctl;
mod unit;
mod user;

#[cfg(test)]
pub(crate) mod testing;

pub use apt_repository::AptRepository;
pub use certificate::Certificate;
pub use command::Command;
pub use container_image::ContainerImage;
pub use directory::{Absent, Directory};
pub use file::{Content, File};
pub use firewall::{Firewall, FirewallRule, ForwardRule, Masquerade};
pub use package::Packages;
pub use postgres::{PostgresDatabase, PostgresExtension, PostgresObject, PostgresRole, PostgresSettings};
pub use slots::{Slot, Slots};
pub use sysctl::Sysctl;
pub use unit::Unit;
pub use user::User;

use crate::difference::Difference;
use crate::host::Host;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies a resource on its host: its kind and name, for example `file /etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceId(String);

impl ResourceId {
    /// The identity of the `kind` named `name`.
    pub fn new(kind: &str, name: &str) -> Self {
        Self(format!("{kind} {name}"))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One resource as a component asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The component that asked.
    pub component: String,
    /// Whether a mistake could lock the operator out: changed only under a timer that reverts it.
    #[serde(default)]
    pub guarded: bool,
    /// What must be true.
    pub spec: Spec,
}

impl Resource {
    /// A resource of `component`.
    pub fn new(component: &str, spec: impl Into<Spec>) -> Self {
        Self { component: component.to_owned(), guarded: false, spec: spec.into() }
    }

    /// The same resource, changed only under a timer that reverts it unless a fresh connection confirms.
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// Its identity on the host.
    pub fn id(&self) -> ResourceId {
        self.spec.manage().id()
    }
}

/// What the agent found when it looked at a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What differs from what was asked; none when nothing does.
    pub difference: Option<Difference>,
    /// Stands for the state found, so that a unit can tell whether what it was started with has changed since.
    pub fingerprint: String,
}

impl Observed {
    /// As asked; `fingerprint` stands for the state.
    pub fn same(fingerprint: impl Into<String>) -> Self {
        Self { difference: None, fingerprint: fingerprint.into() }
    }

    /// Not as asked.
    pub fn differs(difference: Difference) -> Self {
        Self { difference: Some(difference), fingerprint: String::new() }
    }
}

/// Why a resource could not be observed or changed.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The operating system refused to read or write.
    #[error("{attempted}: {source}")]
    Io {
        /// What was attempted, with the path.
        attempted: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A program ended badly.
    #[error("`{program}` failed ({status}): {output}")]
    Program {
        /// The command line, without secrets.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The new content was refused before it went live.
    #[error("the new content of {path} was refused by `{program}`, the old one stays: {output}")]
    Invalid {
        /// The file.
        path: String,
        /// The validation command.
        program: String,
        /// What it printed.
        output: String,
    },
    /// Anything else, said plainly.
    #[error("{0}")]
    Other(String),
}

impl ResourceError {
    /// An I/O error while attempting something.
    pub fn io(attempted: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let attempted = attempted.into();
        move |source| Self::Io { attempted, source }
    }
}

/// What every kind of resource can do, on the host.
///
/// Observing never changes anything. Changing is safe to repeat and safe to interrupt: what was half done is seen
/// as a difference by the next observation.
pub trait Manage {
    /// Its identity on the host.
    fn id(&self) -> ResourceId;

    /// Compares the host with what is asked.
    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError>;

    /// Makes the host as asked. Called only after [`Manage::observe`] found a difference.
    fn change(&self, host: &mut Host) -> Result<(), ResourceError>;

    /// Files whose change times tell when this resource last changed; none where no file tells.
    fn traces(&self) -> Vec<std::path::PathBuf> {
        Vec::new()
    }

    /// Paths whose present content must be kept to undo a guarded change.
    fn guarded_paths(&self) -> Vec<String> {
        Vec::new()
    }

    /// Commands that make the old content effective again after a guarded change was undone.
    fn after_revert(&self) -> Vec<Vec<String>> {
        Vec::new()
    }
}

/// Declares the kinds: one variant each, and the one place that reaches every kind through [`Manage`].
macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// What must be true of one piece of a host's state.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        pub enum Spec {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind($kind)),+
        }

        impl Spec {
            /// The resource's behaviour.
            pub fn manage(&self) -> &dyn Manage {
                match self { $(Spec::$kind(inner) => inner),+ }
            }
        }

        $(impl From<$kind> for Spec {
            fn from(inner: $kind) -> Self { Spec::$kind(inner) }
        })+
    };
}

kinds!(
    AptRepository,
    Packages,
    File,
    Directory,
    Absent,
    User,
    Sysctl,
    Unit,
    Slots,
    Firewall,
    PostgresRole,
    PostgresDatabase,
    PostgresExtension,
    PostgresSettings,
    PostgresObject,
    Certificate,
    ContainerImage,
    Command,
);
