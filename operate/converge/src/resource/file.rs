//! Files.

use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// A file with exactly this content, owner and mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// What is in it.
    pub content: Content,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Permission bits, for example `0o644`.
    pub mode: u32,
    /// Whether the content is a secret: differences then say that it differs and never how.
    #[serde(default)]
    pub sensitive: bool,
    /// Command that must succeed on the new content before it goes live; `{}` stands for the temporary file.
    #[serde(default)]
    pub validate: Option<Vec<String>>,
}

/// Content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Text that travels with the resource.
    Text(String),
    /// Bytes that travel only when the host lacks them: SHA-256 in hexadecimal.
    Blob(String),
}

impl File {
    /// A text file of root, readable by all.
    pub fn new(path: &str, content: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::Text(content.into()),
            owner: "root".to_owned(),
            group: "root".to_owned(),
            mode: 0o644,
            sensitive: false,
            validate: None,
        }
    }

    /// The same file with another owner, group and mode.
    pub fn owned_by(mut self, owner: &str, group: &str, mode: u32) -> Self {
        self.owner = owner.to_owned();
        self.group = group.to_owned();
        self.mode = mode;
        self
    }

    /// The same file, its content never shown.
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The same file, put in place only if `command` succeeds on it; `{}` stands for its temporary path.
    pub fn validated_by(mut self, command: &[&str]) -> Self {
        self.validate = Some(command.iter().map(|word| (*word).to_owned()).collect());
        self
    }
}

impl Manage for File {
    fn id(&self) -> ResourceId {
        ResourceId::new("file", &self.path)
    }

    fn observe(&self, _host: &mut Host) -> Result<Observed, ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }

    fn change(&self, _host: &mut Host) -> Result<(), ResourceError> {
        Err(ResourceError::Other("not built yet".into()))
    }
}
