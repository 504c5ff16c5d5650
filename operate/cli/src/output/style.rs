//! Colour, where the terminal wants it.

use std::io::IsTerminal;
use std::sync::LazyLock;

static COLOUR: LazyLock<bool> =
    LazyLock::new(|| std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());

fn paint(code: &str, text: &str) -> String {
    if *COLOUR { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Something went wrong.
pub fn error(text: &str) -> String {
    paint("1;31", text)
}

/// Something deserves attention.
pub fn warning(text: &str) -> String {
    paint("33", text)
}

/// Something is as it should be.
pub fn good(text: &str) -> String {
    paint("32", text)
}

/// A heading.
pub fn heading(text: &str) -> String {
    paint("1", text)
}

/// Of lesser importance.
pub fn faint(text: &str) -> String {
    paint("2", text)
}

/// A line of a unified diff.
pub fn diff_line(line: &str) -> String {
    match line.as_bytes().first() {
        Some(b'+') => good(line),
        Some(b'-') => paint("31", line),
        Some(b'@') => faint(line),
        _ => line.to_owned(),
    }
}
