//! Files.

use crate::difference::{Difference, unified};
use crate::files::{self, Ownership, sha256};
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};
use std::fs::{Metadata, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let path = host.path(&self.path);
        let Some(metadata) = files::metadata(&path)? else {
            return Ok(Observed::differs(self.creation()));
        };
        if metadata.is_symlink() {
            let target = std::fs::read_link(&path).unwrap_or_default();
            let summary =
                format!("a symbolic link to {} stands there, a file takes its place", target.display());
            return Ok(Observed::differs(Difference::with_lines(summary, self.creation().lines)));
        }
        if !metadata.is_file() {
            return Err(ResourceError::Other(format!(
                "{} is neither a file nor a link, so it is not replaced: move it away and run again",
                self.path
            )));
        }
        let present = std::fs::read(&path).map_err(ResourceError::io(format!("read {}", self.path)))?;
        let (mut findings, lines) = self.compare_content(&present);
        findings.extend(compare_ownership(host, &metadata, &self.owner, &self.group, self.mode)?);
        if files::leftover(&path).is_some() {
            findings.push("an interrupted run left its temporary file".to_owned());
        }
        Ok(match Difference::of(findings) {
            Some(difference) => Observed::differs(Difference { lines, ..difference }),
            None => Observed::same(fingerprint(&present, Ownership::of(&metadata))),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        let path = host.path(&self.path);
        let ownership = host.ownership(&self.owner, &self.group, self.mode)?;
        if files::leftover(&path).is_none() && self.content_is_right(&path)? {
            return set_ownership(&path, ownership);
        }
        let content = match &self.content {
            Content::Text(text) => text.clone().into_bytes(),
            Content::Blob(sha) => host.blob(sha)?,
        };
        files::replace_checked(&path, &content, ownership, |temporary| self.validate(host, temporary))
    }

    fn traces(&self) -> Vec<PathBuf> {
        vec![PathBuf::from(&self.path)]
    }

    fn guarded_paths(&self) -> Vec<String> {
        vec![self.path.clone()]
    }
}

impl File {
    fn creation(&self) -> Difference {
        let summary = format!("create, {}:{} {:04o}", self.owner, self.group, self.mode);
        match &self.content {
            Content::Text(text) if !self.sensitive => {
                Difference::with_lines(summary, unified(b"", text.as_bytes()))
            }
            _ => Difference::new(summary),
        }
    }

    fn wanted_sha256(&self) -> String {
        match &self.content {
            Content::Text(text) => sha256(text.as_bytes()),
            Content::Blob(sha) => sha.clone(),
        }
    }

    /// What to say of the content that differs, and the lines that show it where they may be shown.
    fn compare_content(&self, present: &[u8]) -> (Vec<String>, Vec<String>) {
        let wanted = self.wanted_sha256();
        let found = sha256(present);
        if found == wanted {
            return (Vec::new(), Vec::new());
        }
        let lines = match &self.content {
            Content::Text(text) if !self.sensitive => unified(present, text.as_bytes()),
            _ => Vec::new(),
        };
        let summary = if lines.is_empty() {
            format!("content differs (sha256 {:.8} → {:.8})", found, wanted)
        } else {
            "content differs".to_owned()
        };
        (vec![summary], lines)
    }

    fn content_is_right(&self, path: &Path) -> Result<bool, ResourceError> {
        if !files::metadata(path)?.is_some_and(|metadata| metadata.is_file()) {
            return Ok(false);
        }
        let present = std::fs::read(path).map_err(ResourceError::io(format!("read {}", self.path)))?;
        Ok(sha256(&present) == self.wanted_sha256())
    }

    fn validate(&self, host: &Host, temporary: &Path) -> Result<(), ResourceError> {
        let Some(command) = &self.validate else { return Ok(()) };
        let temporary = temporary.to_string_lossy();
        let words: Vec<String> = command.iter().map(|word| word.replace("{}", &temporary)).collect();
        let argv: Vec<&str> = words.iter().map(String::as_str).collect();
        match host.run(&argv, None) {
            Ok(_) => Ok(()),
            Err(ResourceError::Program { output, .. }) => Err(ResourceError::Invalid {
                path: self.path.clone(),
                program: command.join(" ").replace("{}", &self.path),
                output: if self.sensitive {
                    "what it printed is withheld, because it may quote the secrets in the file".to_owned()
                } else {
                    output.replace(&*temporary, &self.path)
                },
            }),
            Err(other) => Err(other),
        }
    }
}

/// What differs in owner, group and mode, one finding each way.
pub(super) fn compare_ownership(
    host: &mut Host,
    metadata: &Metadata,
    owner: &str,
    group: &str,
    mode: u32,
) -> Result<Vec<String>, ResourceError> {
    let found = Ownership::of(metadata);
    let accounts = host.facts.accounts()?;
    let mut findings = Vec::new();
    let as_asked = accounts.user(owner).map(|user| user.uid) == Some(found.uid)
        && accounts.group(group) == Some(found.gid);
    if !as_asked {
        findings.push(format!("owner {} → {owner}:{group}", accounts.describe(found.uid, found.gid)));
    }
    if found.mode != mode {
        findings.push(format!("mode {:04o} → {mode:04o}", found.mode));
    }
    Ok(findings)
}

/// Gives a file or directory its owner, group and mode.
pub(super) fn set_ownership(path: &Path, wanted: Ownership) -> Result<(), ResourceError> {
    std::os::unix::fs::lchown(path, Some(wanted.uid), Some(wanted.gid))
        .map_err(|error| files::refused(format!("set the owner of {}", path.display()), error))?;
    std::fs::set_permissions(path, Permissions::from_mode(wanted.mode))
        .map_err(|error| files::refused(format!("set the mode of {}", path.display()), error))
}

fn fingerprint(content: &[u8], ownership: Ownership) -> String {
    let Ownership { uid, gid, mode } = ownership;
    format!("{:.16} {uid}:{gid} {mode:04o}", sha256(content))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
