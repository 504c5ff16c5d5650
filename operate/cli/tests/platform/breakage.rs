//! Breaking the platform on purpose: a check that cannot fail is a defect.

use crate::stage::PLATFORM;
use serde_json::Value;
use std::collections::BTreeMap;

/// A way to break a host, and the checks that must notice.
pub struct Breakage {
    /// Where.
    pub host: &'static str,
    /// Script that breaks it, as root on the host.
    pub breaks: &'static str,
    /// Script that undoes it.
    pub heals: &'static str,
    /// Ids of checks that must fail, each with the host that it is about; an empty host stands for the platform.
    pub noticed_by: &'static [(&'static str, &'static str)],
}

/// What each check came to, by its id and host.
type Outcomes = BTreeMap<(String, String), (String, String)>;

/// Runs every check.
pub fn verify() -> Outcomes {
    let ran = PLATFORM.run(&["verify", "--json"]);
    let document = ran.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = document["checks"].as_array().unwrap().iter();
    checks
        .map(|check| {
            let key = (text(&check["id"]), text(&check["host"]));
            (key, (text(&check["status"]), text(&check["evidence"])))
        })
        .collect()
}

/// Breaks everything in `group` at once and returns what no check noticed; heals it again, whatever came out.
pub fn unnoticed(group: &[Breakage]) -> Vec<String> {
    let broken: Vec<_> = group.iter().map(|b| (b, PLATFORM.try_on(b.host, b.breaks))).collect();
    let outcomes = std::panic::catch_unwind(verify);
    for breakage in group.iter().rev() {
        PLATFORM.on(breakage.host, breakage.heals);
    }
    for (breakage, ran) in broken {
        assert_eq!(ran.code, Some(0), "`{}` on {}: {ran:?}", breakage.breaks, breakage.host);
    }
    let outcomes = outcomes.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let mut unnoticed = Vec::new();
    for breakage in group {
        for (id, host) in breakage.noticed_by {
            let outcome = outcomes.get(&((*id).to_owned(), (*host).to_owned()));
            let Some((status, evidence)) = outcome else {
                unnoticed.push(format!("there is no check {id} of {host:?}"));
                continue;
            };
            if status != "fail" {
                unnoticed
                    .push(format!("{id} of {host:?} says {status} ({evidence}) after `{}`", breakage.breaks));
            }
        }
    }
    unnoticed
}
