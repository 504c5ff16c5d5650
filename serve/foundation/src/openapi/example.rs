//! Examples out of schemas: what its members say of themselves makes the example of the whole. Words likewise: a body
//! that does not say what it is has the description of its schema.

use serde_json::{Map, Value, json};

use super::{METHODS, resolve};

/// A schema that contains itself is followed this far.
const DEPTH: usize = 12;

/// Gives an example and a description to each body and answer that has none and whose schema has one to give.
pub(super) fn fill(document: &mut Value) {
    let known = document.clone();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let operations = paths.values_mut().flat_map(|item| {
        item.as_object_mut().into_iter().flatten().filter(|(name, _)| METHODS.contains(&name.as_str()))
    });
    for (_, operation) in operations {
        if let Some(body) = operation.get_mut("requestBody") {
            fill_content(&known, body);
        }
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        responses.into_iter().flatten().for_each(|(_, response)| fill_content(&known, response));
    }
}

fn fill_content(document: &Value, holder: &mut Value) {
    let Some(holder) = holder.as_object_mut() else { return };
    let Some(content) = holder.get_mut("content").and_then(Value::as_object_mut) else { return };
    let mut about = None;
    for media in content.values_mut().filter_map(Value::as_object_mut) {
        let schema = media.get("schema").and_then(|schema| resolve(document, schema));
        about = about.or_else(|| schema?.get("description").cloned());
        if media.contains_key("example") || media.contains_key("examples") {
            continue;
        }
        if let Some(example) = media.get("schema").and_then(|schema| of(document, schema, DEPTH)) {
            media.insert("example".to_owned(), example);
        }
    }
    let said = holder.get("description").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    if let Some(about) = about.filter(|_| !said) {
        holder.insert("description".to_owned(), about);
    }
}

/// The example of a schema: its own, or one of the example of its parts. Nothing where a part has to be invented.
fn of(document: &Value, schema: &Value, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let schema = resolve(document, schema)?;
    for own in ["example", "const", "default"] {
        if let Some(value) = schema.get(own) {
            return Some(value.clone());
        }
    }
    for listed in ["examples", "enum"] {
        if let Some(first) = schema.get(listed).and_then(|values| values.get(0)) {
            return Some(first.clone());
        }
    }
    for any in ["oneOf", "anyOf"] {
        if let Some(parts) = schema.get(any).and_then(Value::as_array) {
            let mut examples = parts.iter().filter_map(|part| of(document, part, depth));
            let first = examples.next()?;
            return if first.is_null() { examples.next().or(Some(first)) } else { Some(first) };
        }
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        let parts = parts.iter().map(|part| of(document, part, depth));
        return parts.collect::<Option<Vec<_>>>().map(merged);
    }
    of_type(document, schema, depth)
}

fn merged(parts: Vec<Value>) -> Value {
    let mut whole = Map::new();
    for part in parts {
        if let Value::Object(members) = part {
            whole.extend(members);
        }
    }
    Value::Object(whole)
}

fn of_type(document: &Value, schema: &Value, depth: usize) -> Option<Value> {
    let kinds: Vec<&str> = match schema.get("type")? {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let value = match *kinds.iter().find(|kind| **kind != "null").unwrap_or(&"null") {
        "object" => of_object(document, schema, depth),
        "array" => of(document, schema.get("items")?, depth).map(|item| json!([item])),
        "boolean" => Some(true.into()),
        "integer" | "number" => Some(schema.get("minimum").cloned().unwrap_or(1.into())),
        "string" => of_text(schema.get("format").and_then(Value::as_str)),
        _ => Some(Value::Null),
    };
    value.or_else(|| kinds.contains(&"null").then_some(Value::Null))
}

fn of_object(document: &Value, schema: &Value, depth: usize) -> Option<Value> {
    let required = super::list(schema.as_object()?, "required");
    let mut whole = Map::new();
    for (name, property) in super::members(schema, "properties") {
        match of(document, property, depth) {
            Some(value) => {
                whole.insert(name.clone(), value);
            }
            None if required.iter().any(|required| required == name) => return None,
            None => {}
        }
    }
    Some(Value::Object(whole))
}

/// Only what its format says well enough: any other text has to be given.
fn of_text(format: Option<&str>) -> Option<Value> {
    let text = match format? {
        "uuid" => "01936b2e-7c1a-7d53-9a53-5a6f0c2b9e11",
        "date-time" => "2026-11-02T09:30:00Z",
        "date" => "2026-11-02",
        "uri" => "https://example.com/",
        "email" => "ada@example.com",
        _ => return None,
    };
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(schema: Value) -> Option<Value> {
        let document = json!({ "components": { "schemas": {
            "State": { "type": "string", "enum": ["open", "done"] },
            "Self": { "type": "object", "required": ["of"], "properties": {
                "of": { "$ref": "#/components/schemas/Self" }
            } }
        } } });
        of(&document, &schema, DEPTH)
    }

    #[test]
    fn members_make_the_example_of_the_whole() {
        let schema = json!({ "type": "object", "required": ["id", "state"], "properties": {
            "id": { "type": "string", "format": "uuid" },
            "state": { "$ref": "#/components/schemas/State" },
            "priority": { "type": "integer", "minimum": 0 },
            "labels": { "type": "array", "items": { "type": "string", "example": "urgent" } },
            "note": { "type": "string" },
            "closed_at": { "type": ["string", "null"], "format": "date-time" },
            "by": { "oneOf": [{ "type": "null" }, { "type": "string", "example": "ada" }] }
        } });
        assert_eq!(
            example(schema),
            Some(json!({
                "id": "01936b2e-7c1a-7d53-9a53-5a6f0c2b9e11", "state": "open", "priority": 0, "labels": ["urgent"],
                "closed_at": "2026-11-02T09:30:00Z", "by": "ada"
            }))
        );
    }

    #[test]
    fn nothing_is_invented() {
        assert_eq!(example(json!({ "type": "string" })), None);
        let needs =
            json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "string" } } });
        assert_eq!(example(needs), None);
        assert_eq!(example(json!({ "$ref": "#/components/schemas/Self" })), None);
        assert_eq!(example(json!({ "$ref": "#/components/schemas/Nobody" })), None);
    }
}
