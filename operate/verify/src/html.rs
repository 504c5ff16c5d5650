//! The report as a page: one file that needs nothing else, not even a script.

mod claims;
mod matrix;
mod text;
mod topology;

use crate::reachability::Traffic;
use crate::{Report, Status};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bastide_platform::{Flow, Platform};
use sha2::{Digest, Sha256};
use text::{duration, escape, moment, plural};

const STYLE: &str = include_str!("html/style.css");

/// What the page shows.
pub struct Page<'a> {
    /// The run.
    pub report: &'a Report,
    /// The platform that was checked.
    pub platform: &'a Platform,
    /// Its flows.
    pub flows: &'a [Flow],
    /// The traffic as measured, if it was.
    pub traffic: Option<&'a Traffic>,
    /// When the run ended, in seconds since 1970.
    pub now: i64,
}

impl Page<'_> {
    /// The page.
    pub fn render(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n{head}</head>\n<body>\n<main>\n{verdict}{failures}\
             {topology}{matrix}{claims}</main>\n{FOOT}</body>\n</html>\n",
            head = self.head(),
            verdict = self.verdict(),
            failures = claims::refuted(self.report),
            topology = topology::section(self),
            matrix = self.traffic.map(|traffic| matrix::section(self.platform, traffic)).unwrap_or_default(),
            claims = claims::section(self.report),
        )
    }

    /// Nothing may be loaded or run, and no style applies but our own, whatever evidence may contain.
    fn head(&self) -> String {
        let style = STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{style}'; \
             base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{verdict} · {name}</title>\n<style>{STYLE}</style>\n",
            verdict = escape(&self.sentence()),
            name = escape(&self.platform.name),
        )
    }

    fn sentence(&self) -> String {
        let Report { passed, failed, skipped, .. } = self.report;
        match (failed, skipped) {
            (0, 0) if *passed == 1 => "The one claim holds".to_owned(),
            (0, 0) => format!("All {} hold", plural(*passed, "claim")),
            (0, _) => format!("{} hold, {skipped} not tried", plural(*passed, "claim")),
            _ => format!("{} of {} refuted", failed, plural(self.report.checks.len(), "claim")),
        }
    }

    fn verdict(&self) -> String {
        let class = if self.report.failed > 0 { "bad" } else { "good" };
        let tally = [
            (Status::Pass, self.report.passed),
            (Status::Fail, self.report.failed),
            (Status::Skip, self.report.skipped),
        ]
        .map(|(status, count)| {
            let (mark, word) = claims::mark(status);
            format!("<li class=\"{word}\"><span class=\"mark\">{mark}</span> <b>{count}</b> {word}</li>")
        })
        .concat();
        format!(
            "<header class=\"{class}\">\n<p class=\"place\">{name} · <span>{domain}</span></p>\n<h1>{sentence}</h1>\n\
             <p class=\"when\">{when} · measured with live traffic in {took}</p>\n<ul class=\"tally\">{tally}</ul>\n\
             </header>\n",
            name = escape(&self.platform.name),
            domain = escape(&self.platform.domain),
            sentence = escape(&self.sentence()),
            when = moment(self.now),
            took = duration(self.report.seconds),
        )
    }
}

const FOOT: &str = "<footer>\n<p>Written by <code>bastide verify --html</code>. Each claim was tried over the network, \
    from the place it names; a claim that nobody could try is marked as skipped and proves nothing.</p>\n</footer>\n";

#[cfg(test)]
mod tests;
