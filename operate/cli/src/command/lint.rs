//! `bastide lint`: what in the platform file does not go together.

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::operator;
use crate::output::style;
use anyhow::Result;
use bastide_platform::Severity;

/// Prints every finding.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let platform = operator::load(arguments)?;
    let findings = bastide_platform::lint(&platform);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if arguments.json {
        println!("{}", serde_json::json!({ "findings": findings, "errors": errors }));
    } else {
        for finding in &findings {
            println!("{finding}");
        }
        let verdict = format!("{errors} error(s), {} other finding(s)", findings.len() - errors);
        eprintln!("{}", if errors > 0 { style::error(&verdict) } else { style::good(&verdict) });
    }
    Ok(if errors > 0 { Exit::Usage } else { Exit::Done })
}
