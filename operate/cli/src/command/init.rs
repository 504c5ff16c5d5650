//! `bastide init`: a platform file to start from.

use crate::arguments::{Arguments, Init};
use crate::exit::Exit;
use anyhow::Result;

/// Writes a platform file, or prints user-data.
pub fn run(_arguments: &Arguments, _options: &Init) -> Result<Exit> {
    Ok(Exit::Done)
}
