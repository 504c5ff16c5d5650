//! Everything that is linked may be distributed under MIT OR Apache-2.0.

use serde_json::Value;
use std::process::Command;

/// Licences that ask for no more than notices.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Whether a licence expression leaves a way to comply: one side of each OR, both sides of each AND.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.trim().replace('/', " OR ");
    let split = |operator| split_outside_parentheses(&expression, operator);
    if let Some((left, right)) = split(" OR ") {
        return is_allowed(left) || is_allowed(right);
    }
    if let Some((left, right)) = split(" AND ") {
        return is_allowed(left) && is_allowed(right);
    }
    match expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => is_allowed(inner),
        None => ALLOWED.contains(&expression.as_str()),
    }
}

fn split_outside_parentheses<'a>(text: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    text.match_indices(operator)
        .map(|(at, _)| (&text[..at], &text[at + operator.len()..]))
        .find(|(left, _)| left.matches('(').count() == left.matches(')').count())
}

#[test]
fn every_dependency_has_a_licence_that_fits() {
    let output = Command::new(std::env::var_os("CARGO").expect("cargo runs its tests"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        // What other systems would link is not fetched.
        .args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "these are not all packages");
    let unfit: Vec<String> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(unfit.is_empty(), "licences that do not fit MIT OR Apache-2.0:\n{}", unfit.join("\n"));
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    for fit in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0/MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "MIT AND (GPL-2.0 OR ISC)",
    ] {
        assert!(is_allowed(fit), "{fit}");
    }
    for unfit in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "", "Apache-2.0 WITH Something"] {
        assert!(!is_allowed(unfit), "{unfit}");
    }
}
