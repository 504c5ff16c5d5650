//! The API's description of itself, as the proofs go through it.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::Value;

use crate::support::application::Application;

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Anybody,
    Actor,
    Person,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: Method,
    /// With names in braces where identifiers stand.
    pub path: String,
    pub id: String,
    pub who: Who,
    pub scopes: BTreeSet<String>,
    parameters: Vec<Value>,
    body: Option<Value>,
    schemas: Value,
}

impl Operation {
    /// As people write it.
    pub fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn writes(&self) -> bool {
        self.method != Method::GET
    }

    /// The names of its parameters in the `path`, the `query` or the `header`.
    pub fn parameters(&self, place: &str) -> Vec<&str> {
        self.parameters_where(place, |_| true)
    }

    /// Those in the query that are identifiers.
    pub fn identifiers_in_query(&self) -> Vec<&str> {
        self.parameters_where("query", |parameter| parameter["schema"]["format"] == "uuid")
    }

    fn parameters_where(&self, place: &str, holds: impl Fn(&Value) -> bool) -> Vec<&str> {
        let found = self.parameters.iter().filter(|one| one["in"] == place && holds(one));
        found.map(|one| one["name"].as_str().unwrap()).collect()
    }

    /// The query without which it is refused, with its question mark; empty for most.
    pub fn least_query(&self) -> String {
        let needed = self.parameters.iter().filter(|one| one["in"] == "query" && one["required"] == true);
        let pairs: Vec<String> = needed
            .map(|parameter| {
                let schema = self.resolve(&parameter["schema"]);
                let example =
                    parameter.get("example").or(schema.get("example")).unwrap_or(&schema["enum"][0]);
                format!("{}={}", parameter["name"].as_str().unwrap(), example.as_str().unwrap())
            })
            .collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    pub fn takes_if_match(&self) -> bool {
        self.parameters("header").contains(&"If-Match")
    }

    /// Whether the answer is a list that `limit` and `cursor` page through.
    pub fn is_paged(&self) -> bool {
        self.parameters("query").contains(&"cursor")
    }

    /// A body that is good, where it takes one.
    pub fn example(&self) -> Option<Value> {
        let body = self.body.as_ref()?;
        Some(
            body.get("example")
                .cloned()
                .unwrap_or_else(|| panic!("{} has no example of its body", self.label())),
        )
    }

    /// What the members of its body are, by their names.
    pub fn members(&self) -> Vec<(String, Value)> {
        let Some(body) = &self.body else { return Vec::new() };
        let members = self.resolve(&body["schema"])["properties"].as_object().cloned().unwrap_or_default();
        members.into_iter().map(|(name, schema)| (name, self.resolve(&schema))).collect()
    }

    /// Those of them that must be there.
    pub fn required(&self) -> Vec<String> {
        let Some(body) = &self.body else { return Vec::new() };
        let required = self.resolve(&body["schema"])["required"].clone();
        serde_json::from_value(required).unwrap_or_default()
    }

    /// What a schema says together with the one to which it refers.
    pub fn resolve(&self, schema: &Value) -> Value {
        let Some(reference) = schema["$ref"].as_str() else { return schema.clone() };
        let name = reference.rsplit('/').next().unwrap();
        let mut found = self.schemas[name].clone();
        let own = schema.as_object().unwrap().clone();
        found.as_object_mut().unwrap().extend(own.into_iter().filter(|(name, _)| name != "$ref"));
        found
    }
}

/// Every operation of the running application.
pub async fn operations(application: &Application) -> Vec<Operation> {
    let document = application.get("/openapi.json").await.json();
    let schemas = &document["components"]["schemas"];
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let operation = &item[method.as_str().to_lowercase()];
            if !operation.is_object() {
                continue;
            }
            let ways: Vec<Value> = operation["security"].as_array().unwrap().clone();
            let by = |scheme: &str| ways.iter().any(|way| way.get(scheme).is_some());
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let content = operation["requestBody"]["content"].as_object();
            found.push(Operation {
                path: path.clone(),
                id: operation["operationId"].as_str().unwrap().to_owned(),
                who: match (by("bearer"), by("session")) {
                    (true, _) => Who::Actor,
                    (false, true) => Who::Person,
                    (false, false) => Who::Anybody,
                },
                scopes: serde_json::from_value(operation["x-scopes"].clone()).unwrap_or_default(),
                parameters: parameters.iter().map(|parameter| resolved(&document, parameter)).collect(),
                body: content.and_then(|kinds| kinds.values().next()).cloned(),
                schemas: schemas.clone(),
                method,
            });
        }
    }
    assert!(found.len() > 10, "the description lists {} operations", found.len());
    found
}

fn resolved(document: &Value, value: &Value) -> Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap().clone(),
        None => value.clone(),
    }
}
