//! The platform as a picture: zones as areas, hosts as boxes, and every flow as an arrow on a line of its own.
//!
//! Lines of their own are what keeps the picture readable: arrows never cross, and a label has room, whatever the
//! platform. There are two drawings of it, for wide and for narrow screens; the style shows one.

use super::Page;
use super::text::escape;
use crate::Vantage;
use crate::reachability::{Traffic, Verdict, name};
use bastide_platform::{Endpoint, Flow, Platform, Port, Zone};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The section with both drawings.
pub(super) fn section(page: &Page<'_>) -> String {
    let picture = Picture::of(page.platform, page.flows, page.traffic);
    format!(
        "<section>\n<h2>The platform</h2>\n<p class=\"lead\">Every arrow is a flow. There is no other way: everything \
         else is denied on every host.</p>\n<figure class=\"topology\">\n{}{}</figure>\n</section>\n",
        picture.draw(&WIDE),
        picture.draw(&NARROW)
    )
}

/// Measures of a drawing, in its own units.
struct Measures {
    class: &'static str,
    width: f64,
    head: f64,
    row: f64,
    letter: f64,
    gap: f64,
    purposes: bool,
}

const WIDE: Measures =
    Measures { class: "wide", width: 1120.0, head: 132.0, row: 34.0, letter: 6.6, gap: 6.0, purposes: true };
const NARROW: Measures =
    Measures { class: "narrow", width: 360.0, head: 96.0, row: 30.0, letter: 5.4, gap: 2.4, purposes: false };

/// A place in the picture.
struct Column {
    name: String,
    detail: String,
    zone: Zone,
}

/// An arrow, or several from and to places of one kind.
struct Arrow {
    from: Vec<usize>,
    to: Vec<usize>,
    ports: String,
    purposes: String,
    class: &'static str,
}

struct Picture {
    columns: Vec<Column>,
    arrows: Vec<Arrow>,
}

impl Picture {
    fn of(platform: &Platform, flows: &[Flow], traffic: Option<&Traffic>) -> Self {
        let columns = columns(platform, flows);
        let mut merged: Vec<(&Endpoint, &Endpoint, Vec<&Flow>)> = Vec::new();
        for flow in flows {
            match merged.iter_mut().find(|(from, to, _)| (*from, *to) == (&flow.from, &flow.to)) {
                Some((_, _, flows)) => flows.push(flow),
                None => merged.push((&flow.from, &flow.to, vec![flow])),
            }
        }
        let mut arrows: Vec<Arrow> = merged
            .into_iter()
            .filter_map(|(from, to, flows)| arrow(platform, &columns, from, to, &flows, traffic))
            .collect();
        arrows.sort_by_key(|arrow| (arrow.from.first().copied(), arrow.to.first().copied()));
        Self { columns, arrows }
    }

    fn draw(&self, measures: &Measures) -> String {
        let step = measures.width / self.columns.len() as f64;
        let height = measures.head + measures.row * (self.arrows.len() as f64 + 0.6);
        let mut svg = format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height:.0}\" role=\"img\" \
             aria-label=\"Zones, hosts and the flows between them\">\n",
            class = measures.class,
            width = measures.width,
        );
        self.zones(measures.gap / 2.0, step, height, &mut svg);
        for (n, column) in self.columns.iter().enumerate() {
            let centre = (n as f64 + 0.5) * step;
            draw_column(column, centre, step, height, measures, &mut svg);
        }
        for (n, arrow) in self.arrows.iter().enumerate() {
            let y = measures.head + measures.row * (n as f64 + 0.9);
            draw_arrow(arrow, y, step, measures, &mut svg);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Columns of one zone stand side by side, on its area.
    fn zones(&self, inset: f64, step: f64, height: f64, svg: &mut String) {
        for (zone, title, class) in [
            (Zone::Public, "outside", "public"),
            (Zone::Dmz, "dmz", "dmz"),
            (Zone::Private, "private", "private"),
        ] {
            let places: Vec<usize> =
                (0..self.columns.len()).filter(|&n| self.columns[n].zone == zone).collect();
            let (Some(first), Some(last)) = (places.first(), places.last()) else { continue };
            let (x, width) = (*first as f64 * step + inset, (last - first + 1) as f64 * step - 2.0 * inset);
            let _ = write!(
                svg,
                "<rect class=\"zone {class}\" x=\"{x:.1}\" y=\"1\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"8\"/>\n\
                 <text class=\"zone-name\" x=\"{:.1}\" y=\"20\">{title}</text>\n",
                height - 2.0,
                x + width / 2.0,
            );
        }
    }
}

fn columns(platform: &Platform, flows: &[Flow]) -> Vec<Column> {
    let outside = |name: &str, detail: &str| Column {
        name: name.to_owned(),
        detail: detail.to_owned(),
        zone: Zone::Public,
    };
    let mut columns = vec![outside("internet", "anyone")];
    let used = |endpoint: &Endpoint| flows.iter().any(|flow| flow.from == *endpoint);
    if used(&Endpoint::Cdn) {
        columns.push(outside("cdn", "its ranges"));
    }
    let networks: BTreeSet<String> = flows
        .iter()
        .filter_map(|flow| match &flow.from {
            Endpoint::Network(network) => Some(network.to_string()),
            _ => None,
        })
        .collect();
    columns.extend(networks.iter().map(|network| outside(network, "network")));
    columns.push(outside("operator", "ssh"));
    for zone in [Zone::Public, Zone::Dmz, Zone::Private] {
        columns.extend(platform.hosts.iter().filter(|host| host.zone == zone).map(|host| {
            let roles: Vec<&str> = host.roles.iter().map(|role| role.as_str()).collect();
            let roles = roles.join(", ");
            let address = host.public_address.unwrap_or(host.address);
            Column {
                name: host.name.to_string(),
                detail: if roles == host.name.as_str() { address.to_string() } else { roles },
                zone: host.zone,
            }
        }));
    }
    columns
}

fn arrow(
    platform: &Platform,
    columns: &[Column],
    from: &Endpoint,
    to: &Endpoint,
    flows: &[&Flow],
    traffic: Option<&Traffic>,
) -> Option<Arrow> {
    let (sources, destinations) = (places(platform, columns, from), places(platform, columns, to));
    if sources.is_empty() || destinations.is_empty() {
        return None;
    }
    // A host needs no flow to reach itself.
    let to: Vec<usize> = match sources.as_slice() {
        [single] => destinations.into_iter().filter(|place| place != single).collect(),
        _ => destinations,
    };
    let ports: BTreeSet<Port> = flows.iter().map(|flow| flow.port).collect();
    let mut purposes: Vec<&str> = Vec::new();
    for flow in flows {
        if !purposes.contains(&flow.purpose.as_str()) {
            purposes.push(&flow.purpose);
        }
    }
    Some(Arrow {
        class: traffic.map_or("unmeasured", |traffic| state(traffic, columns, &sources, &to, &ports)),
        from: sources,
        to,
        ports: ports.iter().map(|port| name(*port)).collect::<Vec<_>>().join(", "),
        purposes: purposes.join(", "),
    })
}

/// Columns of an endpoint.
fn places(platform: &Platform, columns: &[Column], endpoint: &Endpoint) -> Vec<usize> {
    let outside = |name: &str| columns.iter().position(|column| column.name == name).into_iter().collect();
    match endpoint {
        Endpoint::Internet | Endpoint::Cdn | Endpoint::Operator | Endpoint::Network(_) => {
            outside(&endpoint.to_string())
        }
        Endpoint::Role(_) | Endpoint::AnyHost => {
            let holds = |name: &str| {
                platform.host(name).is_some_and(|host| match endpoint {
                    Endpoint::Role(role) => host.has(*role),
                    _ => true,
                })
            };
            (0..columns.len()).filter(|&n| holds(&columns[n].name)).collect()
        }
    }
}

/// Whether the flow was seen to work.
fn state(
    traffic: &Traffic,
    columns: &[Column],
    from: &[usize],
    to: &[usize],
    ports: &BTreeSet<Port>,
) -> &'static str {
    let named = |place: &usize, vantage: &Vantage| vantage.to_string() == columns[*place].name;
    let mut verdicts: BTreeMap<bool, usize> = BTreeMap::new();
    for cell in &traffic.cells {
        let ours = from.iter().any(|place| named(place, &cell.from))
            && to.iter().any(|place| columns[*place].name == cell.to)
            && ports.contains(&cell.port);
        match cell.verdict() {
            Verdict::Open if ours => *verdicts.entry(true).or_default() += 1,
            Verdict::Blocked if ours => *verdicts.entry(false).or_default() += 1,
            _ => {}
        }
    }
    match (verdicts.contains_key(&false), verdicts.contains_key(&true)) {
        (true, _) => "blocked",
        (false, true) => "open",
        (false, false) => "unmeasured",
    }
}

fn draw_column(column: &Column, centre: f64, step: f64, height: f64, measures: &Measures, svg: &mut String) {
    let class = if column.zone == Zone::Public { "outsider" } else { "host" };
    let (top, tall, half) = (30.0, measures.head - 46.0, step / 2.0 - measures.gap);
    let middle = top + tall / 2.0;
    let _ = write!(
        svg,
        "<line class=\"life\" x1=\"{centre:.1}\" x2=\"{centre:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\n\
         <rect class=\"{class}\" x=\"{:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{tall:.1}\" rx=\"6\"/>\n\
         <text class=\"name\" x=\"{centre:.1}\" y=\"{:.1}\"{}>{}</text>\n",
        top + tall,
        height - 10.0,
        centre - half,
        half * 2.0,
        if measures.purposes { middle - 3.0 } else { middle + 3.0 },
        fitted(&column.name, half * 2.0 - 5.0, measures),
        escape(&column.name),
    );
    if measures.purposes {
        let _ = writeln!(
            svg,
            "<text class=\"detail\" x=\"{centre:.1}\" y=\"{:.1}\">{}</text>",
            middle + 16.0,
            escape(&column.detail)
        );
    }
}

/// Squeezes a name that is longer than its box.
fn fitted(name: &str, room: f64, measures: &Measures) -> String {
    let long = name.chars().count() as f64 * measures.letter * if measures.purposes { 1.35 } else { 1.0 };
    if long <= room {
        return String::new();
    }
    format!(" textLength=\"{room:.1}\" lengthAdjust=\"spacingAndGlyphs\"")
}

/// A line from the first place to the last, a dot at each source, a head at each destination.
fn draw_arrow(arrow: &Arrow, y: f64, step: f64, measures: &Measures, svg: &mut String) {
    let x = |place: &usize| (*place as f64 + 0.5) * step;
    let ends = arrow.from.iter().chain(&arrow.to).map(x);
    let (left, right) = ends.fold((f64::MAX, f64::MIN), |(l, r), x| (l.min(x), r.max(x)));
    let class = arrow.class;
    let _ = write!(
        svg,
        "<g class=\"arrow {class}\">\n<line x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n"
    );
    for source in &arrow.from {
        let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>", x(source));
    }
    let middle = arrow.from.iter().map(x).sum::<f64>() / arrow.from.len() as f64;
    for destination in &arrow.to {
        let tip = x(destination);
        let back = if tip < middle { 8.0 } else { -8.0 };
        let _ = writeln!(svg, "<path d=\"M{tip:.1} {y:.1} l{back} -4.5 l0 9 z\"/>",);
    }
    let purposes = if measures.purposes { format!("  {}", arrow.purposes) } else { String::new() };
    let long = (arrow.ports.chars().count() + purposes.chars().count()) as f64 * measures.letter / 2.0;
    let at = ((left + right) / 2.0).clamp(long + 6.0, (measures.width - long - 6.0).max(long + 6.0));
    let _ = write!(
        svg,
        "<text x=\"{at:.1}\" y=\"{:.1}\"><tspan class=\"ports\">{}</tspan>{}</text>\n<title>{}: {}</title>\n</g>\n",
        y - 7.0,
        escape(&arrow.ports),
        escape(&purposes),
        escape(&arrow.ports),
        escape(&arrow.purposes),
    );
}
