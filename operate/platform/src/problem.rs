//! What is wrong with a platform file, and where.

use serde::Serialize;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A place in a platform file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The words that a location points at, with the line around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// Where the words begin.
    pub location: Location,
    /// How many characters they have; at least one.
    pub width: usize,
    /// The whole line.
    pub line: String,
}

impl Excerpt {
    /// The excerpt of `text` at `span`, in bytes; a span over several lines is cut to its first.
    pub(crate) fn of(text: &str, span: Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let end = text.floor_char_boundary(span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        let line_end = line_start + line.len();
        let width = text[start.min(line_end)..end.min(line_end)].chars().count().max(1);
        let location = Location {
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
        };
        Self { location, width, line: line.to_owned() }
    }

    /// The line with carets under the words. Tabs stay tabs, so that the carets stand where the words do.
    fn render(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.location.line.to_string();
        let gutter = " ".repeat(number.len());
        let lead: String = self
            .line
            .chars()
            .take(self.location.column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(f, "  {number} | {}", self.line)?;
        writeln!(f, "  {gutter} | {lead}{}", "^".repeat(self.width))
    }
}

/// One thing that is wrong with a platform file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What was expected, or what to do.
    pub help: Option<String>,
    /// Where; none if it concerns the file as a whole.
    pub excerpt: Option<Excerpt>,
}

/// Everything that is wrong with a platform file, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformErrors {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it; never empty.
    pub problems: Vec<Problem>,
}

impl PlatformErrors {
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let message = format!("cannot be read: {error}");
        let help = Some("name another file, or write one with `bastide init`".to_owned());
        Self { path: path.to_owned(), problems: vec![Problem { message, help, excerpt: None }] }
    }
}

impl std::error::Error for PlatformErrors {}

impl fmt::Display for PlatformErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        for problem in &self.problems {
            match &problem.excerpt {
                Some(excerpt) => {
                    writeln!(f, "{path}:{}: {}", excerpt.location, problem.message)?;
                    excerpt.render(f)?;
                }
                None => writeln!(f, "{path}: {}", problem.message)?,
            }
            if let Some(help) = &problem.help {
                writeln!(f, "  = {help}")?;
            }
        }
        let count = self.problems.len();
        write!(f, "{count} {} in {path}", if count == 1 { "problem" } else { "problems" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_counts_characters_not_bytes() {
        let text = "a = 1\n# ünï\n\"ü\" = wrong\n";
        let at = text.find("wrong").unwrap();
        let excerpt = Excerpt::of(text, at..at + 5);
        assert_eq!(excerpt.location, Location { line: 3, column: 7 });
        assert_eq!((excerpt.width, excerpt.line.as_str()), (5, "\"ü\" = wrong"));
    }

    #[test]
    fn an_excerpt_of_several_lines_is_cut_to_the_first() {
        let excerpt = Excerpt::of("a = [\n1,\n]", 4..10);
        assert_eq!((excerpt.location, excerpt.width), (Location { line: 1, column: 5 }, 1));
        assert_eq!(Excerpt::of("", 0..0).location, Location { line: 1, column: 1 });
        assert_eq!(Excerpt::of("a", 9..12).location, Location { line: 1, column: 2 });
    }

    #[test]
    fn carets_stand_under_the_words() {
        let text = "\tname = 7\n";
        let problem = Problem {
            message: "no".into(),
            help: Some("yes".into()),
            excerpt: Some(Excerpt::of(text, 8..9)),
        };
        let errors = PlatformErrors { path: "p.toml".into(), problems: vec![problem] };
        assert_eq!(
            errors.to_string(),
            "p.toml:1:9: no\n  1 | \tname = 7\n    | \t       ^\n  = yes\n1 problem in p.toml"
        );
    }
}
