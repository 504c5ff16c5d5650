//! Names and values in SQL and in PostgreSQL's configuration files.

use crate::facts::postgres::Setting;

/// A name, quoted whatever is in it.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A setting's name, of which those of extensions have two parts.
pub(super) fn setting(text: &str) -> String {
    text.split('.').map(name).collect::<Vec<_>>().join(".")
}

/// A string, quoted whatever is in it. The form with `E` reads the same under every `standard_conforming_strings`.
pub(super) fn string(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A value in `postgresql.conf`.
pub(super) fn configured(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Whether a value as people write it (`256MB`, `on`) is the one that the server holds (`32768` of 8 kB).
pub(super) fn is_value(setting: &Setting, wanted: &str) -> bool {
    let held = setting.value.as_deref().unwrap_or_default();
    if held == wanted {
        return true;
    }
    let unit = setting.unit.as_deref();
    match setting.kind.as_str() {
        "bool" => truth(held).is_some() && truth(held) == truth(wanted),
        "enum" => {
            held.eq_ignore_ascii_case(wanted) || (truth(held).is_some() && truth(held) == truth(wanted))
        }
        "integer" => match (amount(wanted, unit), amount(held, unit)) {
            (Some(wanted), Some(held)) => wanted.round() == held.round(),
            _ => false,
        },
        "real" => match (amount(wanted, unit), amount(held, unit)) {
            (Some(wanted), Some(held)) => (wanted - held).abs() <= f64::EPSILON * wanted.abs().max(1.0),
            _ => false,
        },
        _ => false,
    }
}

/// The setting as it would be held if it had `value`, which may come with a unit.
pub(super) fn in_base_unit(setting: &Setting, value: &str) -> Option<Setting> {
    let value = match setting.kind.as_str() {
        "integer" | "real" => amount(value, setting.unit.as_deref())?.to_string(),
        _ => value.to_owned(),
    };
    Some(Setting {
        name: setting.name.clone(),
        value: Some(value),
        unit: setting.unit.clone(),
        kind: setting.kind.clone(),
        pending_restart: false,
        file: None,
    })
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A number in the setting's own unit; one without a unit is in that already.
fn amount(text: &str, base: Option<&str>) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = (text[..split].trim(), &text[split..]);
    let number: f64 = number.parse().ok()?;
    if unit.is_empty() {
        return Some(number);
    }
    let base = base?;
    let digits = base.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
    let count: f64 = if digits == 0 { 1.0 } else { base[..digits].parse().ok()? };
    let ((size, kind), (base_size, base_kind)) = (size_of(unit)?, size_of(&base[digits..])?);
    (kind == base_kind).then(|| number * size / (base_size * count))
}

/// Bytes or microseconds in a unit, and which of the two.
fn size_of(unit: &str) -> Option<(f64, char)> {
    let kilo = 1024.0_f64;
    Some(match unit {
        "B" => (1.0, 'b'),
        "kB" => (kilo, 'b'),
        "MB" => (kilo.powi(2), 'b'),
        "GB" => (kilo.powi(3), 'b'),
        "TB" => (kilo.powi(4), 'b'),
        "us" => (1.0, 't'),
        "ms" => (1e3, 't'),
        "s" => (1e6, 't'),
        "min" => (6e7, 't'),
        "h" => (3.6e9, 't'),
        "d" => (8.64e10, 't'),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(kind: &str, unit: Option<&str>, value: &str) -> Setting {
        Setting {
            name: "x".into(),
            value: Some(value.into()),
            unit: unit.map(str::to_owned),
            kind: kind.into(),
            pending_restart: false,
            file: None,
        }
    }

    #[test]
    fn names_and_strings_cannot_break_out() {
        assert_eq!(name(r#"a"; DROP"#), r#""a""; DROP""#);
        assert_eq!(string(r"it's \ here"), r"E'it''s \\ here'");
    }

    #[test]
    fn the_same_value_in_other_words() {
        for (kind, unit, value, wanted) in [
            ("integer", Some("8kB"), "32768", "256MB"),
            ("integer", Some("kB"), "4096", "4MB"),
            ("integer", Some("ms"), "15000", "15s"),
            ("integer", Some("s"), "900", "15min"),
            ("integer", Some("min"), "1440", "1d"),
            ("bool", None, "on", "true"),
            ("real", None, "1.1", "1.10"),
            ("enum", None, "replica", "REPLICA"),
            ("string", None, "*", "*"),
        ] {
            assert!(is_value(&held(kind, unit, value), wanted), "{value} {unit:?} is {wanted}");
        }
        assert!(!is_value(&held("integer", Some("8kB"), "32768"), "255MB"));
        assert!(!is_value(&held("integer", Some("8kB"), "32768"), "1s"));
        assert!(!is_value(&held("string", None, "On"), "on"));
        assert!(!is_value(&held("bool", None, "on"), "off"));
    }
}
