//! Commands, for what no other kind of resource describes.

use crate::difference::Difference;
use crate::files::sha256;
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use serde::{Deserialize, Serialize};

/// A command that runs where another one says that it is needed.
///
/// Both appear in the host's process list, so neither may hold a secret. What `unless` reads is not known here, so a
/// unit that depends on a command is restarted when the command's words change, not whenever it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What it achieves, in a few words.
    pub name: String,
    /// Succeeds where nothing is to be done. It runs at every observation and must change nothing.
    pub unless: Vec<String>,
    /// Makes it so.
    pub run: Vec<String>,
}

impl Manage for Command {
    fn id(&self) -> ResourceId {
        ResourceId::new("command", &self.name)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let unless: Vec<&str> = self.unless.iter().map(String::as_str).collect();
        // A program that is not installed yet cannot say that nothing is to be done.
        if host.succeeds(&unless).unwrap_or(false) {
            return Ok(Observed::same(sha256(self.run.join("\0").as_bytes())));
        }
        Ok(Observed::differs(Difference::with_lines("run", vec![format!("+{}", self.run.join(" "))])))
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        let run: Vec<&str> = self.run.iter().map(String::as_str).collect();
        host.run(&run, None).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::testing::Scratch;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn runs_where_needed() {
        let mut scratch = Scratch::new();
        let flag = scratch.root().join("flag").display().to_string();
        let command = Command {
            name: "raise the flag".into(),
            unless: words(&["test", "-e", &flag]),
            run: words(&["touch", &flag]),
        };
        assert_eq!(scratch.converge(&command), "run");
    }

    #[test]
    fn a_missing_program_means_that_it_is_needed_and_then_an_error() {
        let mut scratch = Scratch::new();
        let command =
            Command { name: "x".into(), unless: words(&["/no/such"]), run: words(&["/no/such", "thing"]) };
        assert!(command.observe(&mut scratch.host).unwrap().difference.is_some());
        assert!(command.change(&mut scratch.host).unwrap_err().to_string().contains("/no/such thing"));
    }
}
