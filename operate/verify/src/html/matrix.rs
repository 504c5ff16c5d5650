//! The traffic matrix: who reached which port of which host.

use super::text::escape;
use crate::Vantage;
use crate::reachability::{Cell, Expected, Traffic, Verdict, name};
use bastide_platform::{Host, Platform, Port};
use std::collections::{BTreeMap, BTreeSet};

/// One table a host.
pub(super) fn section(platform: &Platform, traffic: &Traffic) -> String {
    let tables: String = platform.hosts.iter().map(|host| table(host, traffic)).collect();
    format!(
        "<section>\n<h2>Traffic as measured</h2>\n\
         <p class=\"lead\">Every place tried every port that a flow names or that anything listens on, on every host: \
         {tried} attempts.</p>\n\
         <ul class=\"legend\">\
         <li><span class=\"cell open\">●</span> open, as a flow says</li>\
         <li><span class=\"cell closed\">·</span> closed, as it must be</li>\
         <li><span class=\"cell leak\">✕</span> reachable without a flow</li>\
         <li><span class=\"cell blocked\">○</span> closed against a flow</li>\
         <li><span class=\"cell unknown\">?</span> not measured</li><li>+n further ports</li></ul>\n\
         <div class=\"matrices\">\n{tables}</div>\n</section>\n",
        tried = traffic.cells.len(),
    )
}

fn table(host: &Host, traffic: &Traffic) -> String {
    let cells: Vec<&Cell> = traffic.cells.iter().filter(|cell| cell.to == host.name.as_str()).collect();
    let shown = shown(&cells);
    let others: BTreeSet<Port> =
        cells.iter().map(|cell| cell.port).filter(|port| !shown.contains_key(port)).collect();
    let mut from: Vec<&Vantage> = Vec::new();
    for cell in &cells {
        if !from.contains(&&cell.from) {
            from.push(&cell.from);
        }
    }
    let heads: String = shown.keys().map(|port| format!("<th scope=\"col\">{}</th>", name(*port))).collect();
    let rows: String = from.into_iter().map(|from| row(from, &cells, &shown, &others)).collect();
    let addresses = match host.public_address {
        Some(public) => format!("{public}, {}", host.address),
        None => host.address.to_string(),
    };
    format!(
        "<figure class=\"matrix\">\n<figcaption>to <b>{host}</b> <small>{addresses}</small></figcaption>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Traffic to {host}\">\n\
         <table>\n<thead><tr><th scope=\"col\">from</th>{heads}<th scope=\"col\" title=\"{count} other ports, tried and closed to everybody\">+{count}</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n<p class=\"ports\">{who}</p>\n</figure>\n",
        host = escape(host.name.as_str()),
        count = others.len(),
        who = who(&shown),
    )
}

/// Ports that get a column: in a flow to this host, listened on here, or not as they should be. With who listens.
fn shown<'a>(cells: &[&'a Cell]) -> BTreeMap<Port, Option<&'a str>> {
    let mut shown = BTreeMap::new();
    for cell in cells {
        let matters = cell.listener.is_some()
            || cell.expected != Expected::Closed
            || matches!(cell.verdict(), Verdict::Leak | Verdict::Blocked);
        if matters {
            let who: &mut Option<&str> = shown.entry(cell.port).or_default();
            *who = who.or(cell.listener.as_deref());
        }
    }
    shown
}

fn row(
    from: &Vantage,
    cells: &[&Cell],
    shown: &BTreeMap<Port, Option<&str>>,
    others: &BTreeSet<Port>,
) -> String {
    let at = |wanted: &dyn Fn(Port) -> bool| -> Vec<&Cell> {
        cells.iter().copied().filter(|cell| cell.from == *from && wanted(cell.port)).collect()
    };
    let columns: String = shown.keys().map(|port| data(&at(&|other| other == *port))).collect();
    let rest = data(&at(&|port| others.contains(&port)));
    format!("<tr><th scope=\"row\">{}</th>{columns}{rest}</tr>\n", escape(&from.to_string()))
}

/// One field of the table: the worst of what was measured at the host's addresses.
fn data(cells: &[&Cell]) -> String {
    let worst = |cell: &&&Cell| match cell.verdict() {
        Verdict::Leak => 4,
        Verdict::Blocked => 3,
        Verdict::Unknown => 2,
        Verdict::Open => 1,
        Verdict::Closed => 0,
    };
    let Some(cell) = cells.iter().max_by_key(worst) else {
        return "<td></td>".to_owned();
    };
    let (class, glyph, words) = match cell.verdict() {
        Verdict::Open => ("open", "●", "open, as a flow says"),
        Verdict::Closed => ("closed", "·", "closed"),
        Verdict::Leak => ("leak", "✕", "reachable without a flow"),
        Verdict::Blocked => ("blocked", "○", "closed against a flow"),
        Verdict::Unknown => ("unknown", "?", "not measured"),
    };
    let detail = match (&cell.expected, cell.complaint()) {
        (_, Some(complaint)) => complaint,
        (Expected::Open(purpose), None) => purpose.clone(),
        (Expected::Closed, None) => words.to_owned(),
    };
    format!(
        "<td class=\"cell {class}\" title=\"{detail}\"><span aria-hidden=\"true\">{glyph}</span>\
         <span class=\"words\">{words}</span></td>",
        detail = escape(&detail),
    )
}

fn who(shown: &BTreeMap<Port, Option<&str>>) -> String {
    let listeners = shown.iter().map(|(port, who)| match who {
        Some(who) => format!("<span><b>{}</b> {}</span>", name(*port), escape(who)),
        None => format!("<span><b>{}</b> idle</span>", name(*port)),
    });
    listeners.collect::<Vec<_>>().join(" ")
}
