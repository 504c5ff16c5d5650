//! Differences: what a plan prints and an apply takes away.

use serde::{Deserialize, Serialize};

/// What differs between a host and what was asked, in words and lines that a person reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// One line: `create`, `content differs`, `stopped, should run`.
    pub summary: String,
    /// A unified diff or one line per attribute; empty where the summary says all. Never holds a secret.
    pub lines: Vec<String>,
}

impl Difference {
    /// A difference that one line says.
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), lines: Vec::new() }
    }

    /// A difference with the lines that show it.
    pub fn with_lines(summary: impl Into<String>, lines: Vec<String>) -> Self {
        Self { summary: summary.into(), lines }
    }
}
