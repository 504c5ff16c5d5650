use super::*;
use crate::fixture;
use std::net::Ipv4Addr;

fn cell(port: Port, listener: Option<&str>, expected: Expected, measured: Measured) -> Cell {
    Cell {
        from: Vantage::host("app"),
        to: "db".to_owned(),
        address: Ipv4Addr::new(10, 0, 0, 30).into(),
        port,
        listener: listener.map(str::to_owned),
        expected,
        measured,
    }
}

fn flow() -> Expected {
    Expected::Open("PgBouncer".to_owned())
}

#[test]
fn only_what_the_flows_say_is_right() {
    let port = Port::tcp(6432);
    let unreachable = || Measured::Unreachable("no route".to_owned());
    for (expected, measured, verdict) in [
        (flow(), Measured::Open, Verdict::Open),
        (flow(), Measured::OpenForVisitor, Verdict::Open),
        (flow(), Measured::Refused, Verdict::Blocked),
        (flow(), Measured::Dropped, Verdict::Blocked),
        (flow(), unreachable(), Verdict::Blocked),
        (Expected::Closed, Measured::Open, Verdict::Leak),
        (Expected::Closed, Measured::Refused, Verdict::Leak),
        (Expected::Closed, Measured::Dropped, Verdict::Closed),
        (Expected::Closed, unreachable(), Verdict::Closed),
        (Expected::Closed, Measured::Broken("lost".to_owned()), Verdict::Unknown),
    ] {
        let cell = cell(port, None, expected, measured);
        assert_eq!(cell.verdict(), verdict, "{cell:?}");
        let right = matches!(verdict, Verdict::Open | Verdict::Closed);
        assert_eq!(cell.complaint().is_none(), right, "{cell:?}");
    }
}

#[test]
fn silence_of_a_datagram_service_proves_nothing_but_of_quic_it_does() {
    let silent = |port| cell(Port::udp(port), Some("a process"), flow(), Measured::Dropped).verdict();
    assert_eq!((silent(51_820), silent(443)), (Verdict::Unknown, Verdict::Blocked));
}

#[test]
fn what_was_not_measured_is_not_proven() {
    let from = Vantage::host("app");
    let judged = |cells| judge(&Traffic { cells, ..Traffic::default() }, &from, "db");
    assert!(matches!(judged(vec![]), Err(Failure::Refuted(found)) if found.contains("not proven")));
    let broken = cell(Port::tcp(1), None, Expected::Closed, Measured::Broken("lost".to_owned()));
    assert!(matches!(judged(vec![broken]), Err(Failure::Refuted(found)) if found.contains("lost")));
    let blind = Traffic { blind: [("db".to_owned(), "lost".to_owned())].into(), ..Traffic::default() };
    assert!(matches!(judge(&blind, &from, "db"), Err(Failure::Refuted(_))));
    let untried = cell(Port::tcp(1), None, Expected::Closed, Measured::NotTried("strangers".to_owned()));
    assert!(matches!(judged(vec![untried]), Err(Failure::Impossible(_))));
}

#[test]
fn flows_are_for_the_places_that_they_name() {
    let field = fixture::field();
    let allowed = |from: Vantage, to: &str, port| field.purpose(&from, to, Port::tcp(port)).is_some();
    assert!(allowed(Vantage::Cdn, "edge", 443) && !allowed(Vantage::Internet, "edge", 443));
    assert!(allowed(Vantage::Operator, "edge", 22) && !allowed(Vantage::Cdn, "edge", 22));
    assert!(allowed(Vantage::host("app"), "db", 5432) && !allowed(Vantage::host("cache"), "db", 5432));
    assert!(allowed(Vantage::host("edge"), "cache", 22) && !allowed(Vantage::host("cache"), "edge", 22));
}

#[test]
fn nothing_is_sent_to_strangers() {
    let platform = fixture::platform();
    let db = platform.host("db").unwrap();
    assert!(!tries(&platform, &Vantage::Operator, db), "the operator's network may have such an address too");
    assert!(tries(&platform, &Vantage::Operator, platform.edge()));
    assert!(!tries(&platform, &Vantage::host("db"), db));
}
