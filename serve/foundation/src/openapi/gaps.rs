//! What a document should say and does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::{Operation, list, members, operations, resolve};

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Where: method and path, and what of it.
    pub place: String,
    /// What.
    pub lacks: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} lacks {}", self.place, self.lacks)
    }
}

/// Everything that is missing, in the order of the document.
pub(super) fn of(document: &Value) -> Vec<Gap> {
    let mut search = Search { document, gaps: Vec::new() };
    search.whole();
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    for operation in operations(document) {
        let place = format!("{} {}", operation.method.to_uppercase(), operation.path);
        search.operation(&place, &operation);
        if let Some(name) = operation.members.get("operationId").and_then(Value::as_str)
            && let Some(other) = names.insert(name, place.clone())
        {
            search.note(&place, &format!("an operationId of its own: `{name}` is that of {other}"));
        }
    }
    for (name, schema) in document.get("components").into_iter().flat_map(|all| members(all, "schemas")) {
        search.schema(&format!("schema {name}"), schema);
    }
    search.references(document, "the document");
    search.gaps
}

struct Search<'a> {
    document: &'a Value,
    gaps: Vec<Gap>,
}

impl<'a> Search<'a> {
    fn note(&mut self, place: &str, lacks: &str) {
        self.gaps.push(Gap { place: place.to_owned(), lacks: lacks.to_owned() });
    }

    fn demand(&mut self, holds: bool, place: &str, lacks: &str) {
        if !holds {
            self.note(place, lacks);
        }
    }

    fn whole(&mut self) {
        let document = self.document;
        let version = document["openapi"].as_str().unwrap_or_default();
        self.demand(version.starts_with("3.1."), "the document", "version 3.1 of OpenAPI");
        for member in ["title", "version", "description"] {
            self.demand(says(&document["info"], member), "the document", &format!("a {member}"));
        }
        self.demand(operations(document).next().is_some(), "the document", "operations");
        for tag in document.as_object().map(|all| list(all, "tags")).unwrap_or_default() {
            let name = tag["name"].as_str().unwrap_or_default();
            self.demand(says(tag, "description"), &format!("tag {name}"), "a description");
        }
    }

    fn operation(&mut self, place: &str, operation: &Operation<'a>) {
        let own = operation.members;
        for member in ["summary", "operationId"] {
            let said = own.get(member).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            self.demand(said, place, if member == "summary" { "a summary" } else { "an operationId" });
        }
        self.tags(place, own);
        self.demand(own.contains_key("security"), place, "security, or that it needs none");
        self.parameters(place, operation);
        if let Some(body) = own.get("requestBody") {
            let place = format!("the body of {place}");
            self.demand(says(body, "description"), &place, "a description");
            self.content(&place, body);
        }
        let responses = own.get("responses").and_then(Value::as_object);
        let mut done = false;
        for (status, response) in responses.into_iter().flatten() {
            done |= status.starts_with(['2', '3']) && status != "304";
            self.response(&format!("answer {status} of {place}"), status, response);
        }
        self.demand(done, place, "an answer that is no problem");
    }

    fn tags(&mut self, place: &str, operation: &Map<String, Value>) {
        let declared = self.document.as_object().map(|all| list(all, "tags")).unwrap_or_default();
        let tags = list(operation, "tags");
        self.demand(!tags.is_empty(), place, "a tag");
        for tag in tags {
            let known = declared.iter().any(|declared| declared["name"] == *tag);
            self.demand(known, &format!("tag {}", tag.as_str().unwrap_or_default()), "its declaration");
        }
    }

    fn parameters(&mut self, place: &str, operation: &Operation<'a>) {
        let mut in_path = BTreeSet::new();
        for parameter in list(operation.members, "parameters") {
            let Some(parameter) = resolve(self.document, parameter) else { continue };
            let name = parameter["name"].as_str().unwrap_or_default();
            let place = format!("parameter {name} of {place}");
            self.demand(says(parameter, "description"), &place, "a description");
            self.demand(parameter.get("schema").is_some(), &place, "a schema");
            if parameter["in"] == "path" {
                in_path.insert(name);
            }
        }
        let named = operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        for name in named {
            self.demand(in_path.contains(name), place, &format!("its parameter {name}"));
        }
    }

    fn response(&mut self, place: &str, status: &str, response: &Value) {
        let Some(response) = resolve(self.document, response) else { return };
        self.demand(says(response, "description"), place, "a description");
        let bare = matches!(status, "204" | "205") || status.starts_with('3');
        if !bare {
            self.content(place, response);
        }
        for (name, header) in members(response, "headers") {
            let Some(header) = resolve(self.document, header) else { continue };
            let place = format!("header {name} of {place}");
            self.demand(says(header, "description"), &place, "a description");
            self.demand(header.get("schema").is_some(), &place, "a schema");
        }
    }

    fn content(&mut self, place: &str, holder: &Value) {
        self.demand(members(holder, "content").next().is_some(), place, "content");
        for (kind, media) in members(holder, "content") {
            let place = format!("{kind} in {place}");
            self.demand(media.get("schema").is_some(), &place, "a schema");
            let examples = members(media, "examples").next().is_some();
            self.demand(examples || media.get("example").is_some(), &place, "an example");
        }
    }

    /// Members are described where they are declared; one that is only a reference is described there, and one that may be
    /// nothing beside what else it is.
    fn schema(&mut self, place: &str, schema: &Value) {
        for (name, property) in members(schema, "properties") {
            let place = format!("{name} of {place}");
            let described = resolve(self.document, property).is_some_and(|found| says(found, "description"));
            self.demand(described || says_or_its_part(property), &place, "a description");
            self.schema(&place, property);
        }
        if let Some(items) = schema.get("items") {
            self.schema(place, items);
        }
        for combined in ["oneOf", "anyOf", "allOf"] {
            let parts = schema.get(combined).and_then(Value::as_array);
            parts.into_iter().flatten().for_each(|part| self.schema(place, part));
        }
    }

    fn references(&mut self, value: &Value, place: &str) {
        match value {
            Value::Object(own) => {
                if let Some(reference) = own.get("$ref").and_then(Value::as_str) {
                    let found = resolve(self.document, value).is_some();
                    self.demand(found, place, &format!("what it refers to: {reference}"));
                }
                own.iter().for_each(|(name, value)| self.references(value, name));
            }
            Value::Array(values) => values.iter().for_each(|value| self.references(value, place)),
            _ => {}
        }
    }
}

/// Of what may be null, the part that is not has the description.
fn says_or_its_part(property: &Value) -> bool {
    let parts = property.get("oneOf").and_then(Value::as_array);
    says(property, "description") || parts.into_iter().flatten().any(|part| says(part, "description"))
}

fn says(value: &Value, member: &str) -> bool {
    value.get(member).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
}
