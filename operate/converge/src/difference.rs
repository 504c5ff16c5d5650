//! Differences: what a plan prints and an apply takes away.

use serde::{Deserialize, Serialize};

/// Content longer than this is compared but not shown line by line, in bytes.
const LONGEST_SHOWN: usize = 256 * 1024;

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

    /// What several findings amount to; none where there are none.
    pub fn of(findings: Vec<String>) -> Option<Self> {
        (!findings.is_empty()).then(|| Self::new(findings.join(", ")))
    }
}

/// Lines of a unified diff with three lines of context, without file headers.
///
/// Empty where a diff would not help a reader: content that is not text, or is long.
pub fn unified(old: &[u8], new: &[u8]) -> Vec<String> {
    if old.len().max(new.len()) > LONGEST_SHOWN || old.contains(&0) || new.contains(&0) {
        return Vec::new();
    }
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else { return Vec::new() };
    let diff = similar::TextDiff::from_lines(old, new);
    diff.unified_diff().context_radius(3).to_string().lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_three_lines_of_context() {
        let old: String = (1..=9).map(|n| format!("{n}\n")).collect();
        let new = old.replace("5\n", "five\n");
        let lines = unified(old.as_bytes(), new.as_bytes());
        assert_eq!(lines, ["@@ -2,7 +2,7 @@", " 2", " 3", " 4", "-5", "+five", " 6", " 7", " 8"]);
    }

    #[test]
    fn shows_a_missing_last_newline() {
        let lines = unified(b"a\n", b"a");
        assert!(lines.iter().any(|line| line.contains("No newline")), "{lines:?}");
    }

    #[test]
    fn binary_is_not_shown() {
        assert!(unified(b"\xff\xfe", b"text\n").is_empty());
        assert!(unified(b"a\0", b"text\n").is_empty());
    }
}
