//! Scripts that run inside Valkey: named by their digest, and sent whole only to an instance that does not know them.

use redis::{Cmd, ErrorKind, FromRedisValue, ServerErrorKind, ToRedisArgs, cmd};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::{Valkey, ValkeyError};

/// A script in Lua.
#[derive(Debug, Clone)]
pub struct Script {
    text: &'static str,
    /// Valkey's name for it.
    digest: String,
}

impl Script {
    /// The script with this text.
    #[must_use]
    pub fn new(text: &'static str) -> Self {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        Self { text, digest: digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

impl Valkey {
    /// Runs the script and returns its answer.
    ///
    /// # Errors
    /// As [`Valkey::ask`].
    pub async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[String],
        values: impl ToRedisArgs,
    ) -> Result<T, ValkeyError> {
        let calling = |mut command: Cmd| {
            command.arg(keys.len()).arg(keys).arg(&values);
            command
        };
        let mut known = cmd("EVALSHA");
        known.arg(&script.digest);
        match self.ask(&calling(known)).await {
            Err(ValkeyError::Failed { source, .. })
                if source.kind() == ErrorKind::Server(ServerErrorKind::NoScript) =>
            {
                let mut whole = cmd("EVAL");
                whole.arg(script.text);
                self.ask(&calling(whole)).await
            }
            outcome => outcome,
        }
    }
}
