use super::*;
use crate::reachability::{Cell, Expected, Measured};
use crate::{CheckResult, Vantage, fixture};
use bastide_platform::Port;

fn result(id: &str, component: &'static str, status: Status, evidence: &str) -> CheckResult {
    CheckResult {
        id: id.to_owned(),
        host: Some("edge".to_owned()),
        component,
        status,
        claim: format!("the claim of {id}"),
        evidence: evidence.to_owned(),
        seconds: 0.012,
    }
}

fn render(checks: Vec<CheckResult>, traffic: Option<&Traffic>) -> String {
    let (platform, flows) = (fixture::platform(), fixture::flows());
    let report = Report::new(checks, 9.4);
    Page { report: &report, platform: &platform, flows: &flows, traffic, now: 1_795_462_200 }.render()
}

#[test]
fn hostile_evidence_stays_text() {
    let evidence = "</p><script>alert(1)</script><img src=x onerror='alert(2)'>";
    let page = render(vec![result("caddy/answers", "caddy", Status::Fail, evidence)], None);
    assert!(!page.contains("<script") && !page.contains("<img"), "evidence became markup");
    assert!(page.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let page = render(vec![result("caddy/answers", "caddy", Status::Pass, "200")], None);
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    assert!(page.contains(&format!("default-src 'none'; style-src 'sha256-{hash}'")));
    assert!(page.contains(&format!("<style>{STYLE}</style>")), "the hash is of what stands in the page");
    for forbidden in
        ["<script", "<link", "<img", "<iframe", "@import", "url(", " style=", "http://", "https://"]
    {
        assert!(!page.contains(forbidden), "{forbidden} in the page");
    }
}

#[test]
fn the_verdict_counts_what_failed() {
    let pass = || result("a/passes", "a", Status::Pass, "seen");
    let page = render(vec![pass(), result("b/fails", "b", Status::Fail, "seen otherwise")], None);
    assert!(page.contains("<h1>1 of 2 claims refuted</h1>"));
    assert!(page.contains("<h2>Refuted</h2>"));
    let page = render(vec![pass()], None);
    assert!(page.contains("<h1>The one claim holds</h1>"));
    assert!(!page.contains("<h2>Refuted</h2>"));
}

#[test]
fn the_matrix_and_the_picture_show_what_was_measured() {
    let cell = |from: Vantage, to: &str, port, expected, measured| Cell {
        from,
        to: to.to_owned(),
        address: [10, 0, 0, 30].into(),
        port: Port::tcp(port),
        listener: None,
        expected,
        measured,
    };
    let flow = || Expected::Open("PgBouncer".to_owned());
    let traffic = Traffic {
        cells: vec![
            cell(Vantage::host("app"), "db", 6432, flow(), Measured::Dropped),
            cell(Vantage::host("cache"), "db", 5432, Expected::Closed, Measured::Open),
            cell(Vantage::host("cache"), "db", 6432, Expected::Closed, Measured::Dropped),
        ],
        ..Traffic::default()
    };
    let page = render(vec![], Some(&traffic));
    assert!(
        page.contains("class=\"cell blocked\" title=\"10.0.0.30:6432 says nothing, and PgBouncer needs it\"")
    );
    assert!(page.contains(
        "class=\"cell leak\" title=\"10.0.0.30:5432 is open (somebody answers) and no flow allows it\""
    ));
    assert!(page.contains("class=\"cell closed\" title=\"closed\""));
    assert!(page.contains("class=\"arrow blocked\""));
}
