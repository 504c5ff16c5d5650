//! Schemas: their members as tables, with what bounds each.

use serde_json::Value;

use super::super::text::{blocks, line, slug};
use super::super::{list, members};
use super::operation::inline;
use super::{resolved, table, text};
use crate::html::escape;

/// Bounds that are shown as they are.
const BOUNDS: [(&str, &str); 9] = [
    ("minimum", "at least"),
    ("maximum", "at most"),
    ("exclusiveMinimum", "more than"),
    ("exclusiveMaximum", "less than"),
    ("minLength", "characters, at least"),
    ("maxLength", "characters, at most"),
    ("minItems", "items, at least"),
    ("maxItems", "items, at most"),
    ("pattern", "pattern"),
];

/// The schema's anchor.
pub(super) fn anchor(name: &str) -> String {
    format!("schema-{}", slug(name))
}

/// Every schema of the document.
pub(super) fn all(document: &Value) -> String {
    let schemas = document.get("components").into_iter().flat_map(|all| members(all, "schemas"));
    let sections = schemas.map(|(name, schema)| {
        format!(
            "<details>\n<summary><h3><code>{}</code></h3></summary>\n<div id=\"{}\" class=\"inner\">\n{}{}{}</div>\n\
             </details>\n",
            escape(name),
            anchor(name),
            blocks(text(schema, "description")),
            if members(schema, "properties").next().is_none() {
                format!("<p>{}</p>\n", kind(schema))
            } else {
                String::new()
            },
            members_table(document, schema, name)
        )
    });
    format!("<section>\n<h2 id=\"schemas\">Schemas</h2>\n{}</section>\n", sections.collect::<String>())
}

/// The members of an object; those of objects within it follow with their path. Empty where there is none.
pub(super) fn members_table(document: &Value, schema: &Value, label: &str) -> String {
    let mut rows = String::new();
    add_rows(document, schema, "", &mut rows);
    if rows.is_empty() {
        return rows;
    }
    table(&format!("Members of {label}"), &["Member", "Type", "Meaning"], &rows)
}

fn add_rows(document: &Value, schema: &Value, prefix: &str, rows: &mut String) {
    let required = schema.as_object().map(|own| list(own, "required")).unwrap_or_default();
    for (name, property) in members(schema, "properties") {
        let path = format!("{prefix}{name}");
        let needed = if required.iter().any(|required| required == name) { "always" } else { "optional" };
        let own = text(property, "description");
        let about = if own.is_empty() { text(resolved(document, property), "description") } else { own };
        rows.push_str(&format!(
            "<tr><th scope=\"row\"><code>{}</code><small>{needed}</small></th><td>{}</td><td>{}</td></tr>\n",
            escape(&path),
            kind(property),
            line(about)
        ));
        add_rows(document, property, &format!("{path}."), rows);
        if let Some(items) = property.get("items") {
            add_rows(document, items, &format!("{path}[]."), rows);
        }
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        add_rows(document, resolved(document, part), prefix, rows);
    }
    if prefix.is_empty()
        && let Some(items) = schema.get("items")
    {
        add_rows(document, items, "[].", rows);
    }
}

/// The type in a few words, with its bounds; a link where it has a name.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("<a href=\"#{}\"><code>{}</code></a>", anchor(name), escape(name));
    }
    for (combined, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if let Some(parts) = schema.get(combined).and_then(Value::as_array) {
            return parts.iter().map(kind).collect::<Vec<_>>().join(word);
        }
    }
    let mut words = vec![types(schema)];
    if let Some(format) = schema.get("format").and_then(Value::as_str) {
        words.push(escape(format));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        words.push(format!("one of {}", values.iter().map(inline).collect::<Vec<_>>().join(", ")));
    }
    for (name, word) in BOUNDS {
        if let Some(value) = schema.get(name) {
            words.push(format!("{word} {}", inline(value)));
        }
    }
    if let Some(value) = schema.get("default") {
        words.push(format!("otherwise {}", inline(value)));
    }
    words.join("; ")
}

fn types(schema: &Value) -> String {
    if let Some(items) = schema.get("items") {
        return format!("list of {}", kind(items));
    }
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(name)) => vec![name],
        _ => vec!["anything"],
    };
    escape(&names.join(" or "))
}
