//! Progress of long work: a bar a host on a terminal, a line a change elsewhere. Always on standard error.

use super::style;
use bastide_converge::resource::Resource;
use bastide_converge::run::{Progress, Status};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;

/// Shows what happens on every host.
pub struct Hosts {
    all: Option<MultiProgress>,
    bars: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Hosts {
    /// Bars on a terminal, lines elsewhere.
    pub fn new() -> Self {
        let all = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { all, bars: Mutex::default() }
    }

    /// Prints a line above the bars.
    fn line(&self, text: &str) {
        match &self.all {
            // A terminal that cannot be written to has nobody to tell.
            Some(all) => drop(all.println(text)),
            None => eprintln!("{text}"),
        }
    }

    fn bar(&self, host: &str, position: usize, of: usize, message: &str) {
        let Some(all) = &self.all else { return };
        let Ok(mut bars) = self.bars.lock() else { return };
        let bar = bars.entry(host.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("{prefix:>10} {bar:24} {pos:>3}/{len:<3} {wide_msg}");
            let bar = all.add(ProgressBar::new(of as u64)).with_prefix(host.to_owned());
            match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        bar.set_length(of as u64);
        bar.set_position(position as u64);
        bar.set_message(message.to_owned());
        if position == of {
            bar.finish_with_message("done");
        }
    }
}

impl Progress for Hosts {
    fn resource(&self, host: &str, position: usize, of: usize, resource: &Resource, status: Status<'_>) {
        let id = resource.id();
        match status {
            Status::Same => self.bar(host, position, of, id.as_str()),
            Status::Differs(_) => self.bar(host, position, of, &format!("{id}: differs")),
            Status::Changing => self.bar(host, position - 1, of, &format!("{id} …")),
            Status::Changed(milliseconds) => {
                self.bar(host, position, of, id.as_str());
                let seconds = style::faint(&format!("({:.1} s)", milliseconds as f64 / 1000.0));
                self.line(&format!("{host:>10} {} {id} {seconds}", style::good("changed")));
            }
            Status::Failed(error) => {
                self.line(&format!("{host:>10} {} {id}: {error}", style::error("failed")));
            }
        }
    }
}

/// Counts one thing after the other on a terminal, and is silent elsewhere.
pub struct Counter {
    bar: ProgressBar,
}

impl Counter {
    /// A counter up to `of`.
    pub fn new(of: usize) -> Self {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::new(of as u64) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{prefix:>10} {bar:24} {pos:>3}/{len:<3} {wide_msg}");
        Self { bar: style.into_iter().fold(bar, ProgressBar::with_style).with_prefix("checks") }
    }

    /// One more is done.
    pub fn one(&self, message: &str) {
        self.bar.inc(1);
        self.bar.set_message(message.to_owned());
    }

    /// All are done.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
