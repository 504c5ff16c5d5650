//! What the benchmarks' loads share: when requests fall due, and how long they took.

pub mod latencies;
pub mod pace;

use std::io::Write as _;

/// Says a word to whoever has started the load, on a line of its own.
pub fn announce(what: &str) {
    println!("{what}");
    // Whoever reads it has gone where this fails, and then there is nobody to tell.
    let _ = std::io::stdout().flush();
}
