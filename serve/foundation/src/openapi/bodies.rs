//! What holds for every body that is read: members that are unknown are refused, and texts are of a form. The schemas of
//! what is only answered stay open, so that an answer can have more members one day.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{list, operations, resolve};
use crate::text::{LINE, PROSE};

const SCHEMAS: &str = "#/components/schemas/";
/// What says of a text what form it has.
const FORMS: [&str; 4] = ["format", "pattern", "enum", "const"];

/// Says it of every schema that a body of a request consists of.
pub(super) fn restrict(document: &mut Value) {
    let mut named = BTreeSet::new();
    for operation in operations(document) {
        if let Some(body) = operation.members.get("requestBody") {
            find(document, body, &mut named);
        }
    }
    for name in named {
        if let Some(schema) = document.pointer_mut(&format!("/components/schemas/{name}")) {
            restrict_within(schema);
        }
    }
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let items = paths.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut);
    for operation in items.flat_map(Map::values_mut) {
        let content = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
        let media = content.into_iter().flat_map(Map::values_mut);
        media.filter_map(|media| media.get_mut("schema")).for_each(restrict_within);
    }
}

/// Adds the names of the schemas to which `value` refers, and to which these refer.
fn find(document: &Value, value: &Value, named: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|reference| reference.strip_prefix(SCHEMAS))
                && named.insert(name.to_owned())
                && let Some(schema) = resolve(document, value)
            {
                find(document, schema, named);
            }
            members.values().for_each(|value| find(document, value, named));
        }
        Value::Array(values) => values.iter().for_each(|value| find(document, value, named)),
        _ => {}
    }
}

fn restrict_within(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    let says = |name: &str| schema.contains_key(name);
    if is(schema, "string") && says("maxLength") && !FORMS.into_iter().any(says) {
        let filled = schema.get("minLength").and_then(Value::as_u64).is_some_and(|least| least > 0);
        schema.insert("pattern".to_owned(), (if filled { LINE } else { PROSE }).into());
    }
    if is(schema, "object") && schema.contains_key("properties") {
        schema.entry("additionalProperties").or_insert(false.into());
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    properties.into_iter().flat_map(Map::values_mut).for_each(restrict_within);
    for name in ["items", "additionalProperties"] {
        schema.get_mut(name).into_iter().for_each(restrict_within);
    }
    for name in ["oneOf", "anyOf"] {
        let parts = schema.get_mut(name).and_then(Value::as_array_mut);
        parts.into_iter().flatten().for_each(restrict_within);
    }
}

fn is(schema: &Map<String, Value>, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == kind,
        Some(Value::Array(_)) => list(schema, "type").iter().any(|one| one == kind),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_sent_is_restricted_and_what_is_answered_is_not() {
        let text = json!({ "type": "string", "minLength": 1, "maxLength": 9 });
        let mut document = json!({
            "paths": { "/things": { "post": {
                "requestBody": { "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/New" }
                } } },
                "responses": { "201": { "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Thing" }
                } } } }
            } } },
            "components": { "schemas": {
                "New": { "type": "object", "properties": {
                    "name": text, "about": { "type": ["string", "null"], "maxLength": 9 },
                    "link": { "type": "string", "format": "uri", "maxLength": 9 },
                    "parts": { "type": "array", "items": { "$ref": "#/components/schemas/Part" } }
                } },
                "Part": { "type": "object", "properties": { "name": text } },
                "Thing": { "type": "object", "properties": { "name": text } }
            } }
        });
        restrict(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["New"]["additionalProperties"], false);
        assert_eq!(schemas["New"]["properties"]["name"]["pattern"], LINE);
        assert_eq!(schemas["New"]["properties"]["about"]["pattern"], PROSE);
        assert_eq!(schemas["New"]["properties"]["link"].get("pattern"), None);
        assert_eq!(schemas["Part"]["additionalProperties"], false);
        assert_eq!(schemas["Part"]["properties"]["name"]["pattern"], LINE);
        assert_eq!(schemas["Thing"], json!({ "type": "object", "properties": { "name": text } }));
    }
}
