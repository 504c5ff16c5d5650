//! Completes a collected document: what an operation's rules and shape imply is added to it.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::HeaderName;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Map, Value, json};

use super::components::{self, BEARER, SESSION, key_parameter, reference, spelled};
use super::problems::{self, Body, Shape};
use super::rules::{EXTENSION, KeyUse, Rules, Who};
use super::{DocumentError, METHODS, bodies, example};
use crate::problem::registry::Registry;
use crate::problem::{Code, codes};
use crate::rate_limit;
use crate::request::{REQUEST_ID, TRACEPARENT};
use crate::write::idempotency;

/// The content type of problems, as text.
const PROBLEM: &str = "application/problem+json";

/// Completes every operation, and adds the components to which they refer.
pub(super) fn document(document: &mut Value, registry: &Registry) -> Result<(), DocumentError> {
    let mut answered = BTreeMap::new();
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for method in METHODS {
                if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                    let codes = complete(path, method, operation, registry)?;
                    answered.extend(codes.into_iter().map(|code| (code.code, code)));
                }
            }
        }
    }
    add_components(document, &answered);
    bodies::restrict(document);
    example::fill(document);
    Ok(())
}

/// Completes one operation; returns what it can answer.
fn complete(
    path: &str,
    method: &str,
    operation: &mut Map<String, Value>,
    registry: &Registry,
) -> Result<Vec<&'static Code>, DocumentError> {
    let name = || format!("{} {path}", method.to_uppercase());
    let said = operation.remove(EXTENSION);
    // Who may ask is left open where nobody says it, and is then a gap.
    let open = said.is_none();
    let rules = match said {
        Some(rules) => serde_json::from_value(rules)
            .map_err(|source| DocumentError::Rules { operation: name(), source })?,
        None => Rules::public(),
    };
    let shape = shape(path, method, operation);
    let mut codes = problems::of(&shape, &rules);
    for code in &rules.problems {
        let known = registry.get(code);
        codes.push(known.ok_or_else(|| DocumentError::Code { operation: name(), code: code.clone() })?);
    }
    if !open {
        add_security(operation, &rules);
    }
    add_parameters(operation, &shape, &rules);
    add_problems(operation, &codes);
    add_not_modified(operation, &shape, &rules);
    add_headers(operation, &shape, &rules);
    Ok(codes)
}

fn shape<'a>(path: &str, method: &'a str, operation: &Map<String, Value>) -> Shape<'a> {
    let content = operation.get("requestBody").and_then(|body| body.get("content"));
    let body = match content.and_then(Value::as_object) {
        None => Body::None,
        Some(content) if content.keys().any(|kind| kind.contains("json") || kind.contains("form")) => {
            Body::Values
        }
        Some(_) => Body::Bytes,
    };
    let parameters = super::list(operation, "parameters");
    Shape {
        method,
        body,
        in_path: path.contains('{'),
        in_query: parameters.iter().any(|parameter| parameter["in"] == "query"),
    }
}

/// OpenAPI 3.1 lets a requirement of any scheme list roles; here they are the scopes, all of which are needed.
fn add_security(operation: &mut Map<String, Value>, rules: &Rules) {
    let schemes: &[&str] = match rules.who {
        Who::Anybody => &[],
        Who::Actor => &[BEARER, SESSION],
        Who::Person => &[SESSION],
    };
    let scopes: BTreeSet<String> = rules.scopes.iter().map(ToString::to_string).collect();
    let requirements = schemes.iter().map(|scheme| json!({ *scheme: &scopes }));
    operation.insert("security".to_owned(), requirements.collect());
    if !scopes.is_empty() {
        operation.insert("x-scopes".to_owned(), json!(scopes));
    }
}

fn add_parameters(operation: &mut Map<String, Value>, shape: &Shape, rules: &Rules) {
    let mut added = vec![spelled(&REQUEST_ID), TRACEPARENT.as_str().to_owned()];
    if shape.takes_key(rules) {
        added.push(key_parameter(rules.key == KeyUse::Required));
    }
    if rules.versioned && shape.reads() {
        added.push(spelled(&IF_NONE_MATCH));
    }
    if shape.changes_version(rules) {
        added.push(spelled(&IF_MATCH));
    }
    let mut parameters = super::list(operation, "parameters").to_vec();
    if rules.paged {
        // Their one description, whatever form the handler takes them in.
        parameters.retain(|parameter| parameter["name"] != "limit" && parameter["name"] != "cursor");
        added.extend(["limit".to_owned(), "cursor".to_owned()]);
    }
    parameters.extend(added.iter().map(|name| reference("parameters", name)));
    operation.insert("parameters".to_owned(), parameters.into());
}

fn add_problems(operation: &mut Map<String, Value>, codes: &[&'static Code]) {
    let mut by_status: BTreeMap<u16, BTreeMap<&str, &Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status).or_default().insert(code.code, code);
    }
    let responses = object(operation, "responses");
    for (status, codes) in by_status {
        let response = object(responses, &status.to_string());
        let said = response.get("description").and_then(Value::as_str).unwrap_or_default();
        if said.is_empty() {
            let lines = codes.values().map(|code| format!("- `{}`: {}", code.code, code.title));
            response.insert("description".to_owned(), lines.collect::<Vec<_>>().join("\n").into());
        }
        let content = object(object(response, "content"), PROBLEM);
        content.insert("schema".to_owned(), reference("schemas", "Problem"));
        let examples = object(content, "examples");
        for code in codes.keys() {
            examples.insert((*code).to_owned(), reference("examples", code));
        }
    }
}

fn add_not_modified(operation: &mut Map<String, Value>, shape: &Shape, rules: &Rules) {
    if rules.versioned && shape.reads() {
        let description = "The caller has the current version.";
        object(operation, "responses").entry("304").or_insert_with(|| json!({ "description": description }));
    }
}

fn add_headers(operation: &mut Map<String, Value>, shape: &Shape, rules: &Rules) {
    for (status, response) in object(operation, "responses") {
        let Some(response) = response.as_object_mut() else { continue };
        let status: u16 = status.parse().unwrap_or_default();
        let done = (200..300).contains(&status);
        let in_use = status == codes::IDEMPOTENCY_KEY_IN_USE.status && shape.takes_key(rules);
        let deletes = shape.method == "delete";
        let holding: [(HeaderName, bool); 10] = [
            (REQUEST_ID, true),
            (TRACEPARENT, true),
            (rate_limit::LIMIT, rules.limited),
            (rate_limit::POLICY, rules.limited),
            (RETRY_AFTER, matches!(status, 429 | 503) || in_use),
            (ETAG, rules.versioned && (done && !deletes || matches!(status, 304 | 412))),
            (LOCATION, status == 201),
            (LINK, rules.paged && status == 200),
            (idempotency::REPLAYED, shape.takes_key(rules) && status < 500),
            (WWW_AUTHENTICATE, rules.who != Who::Anybody && matches!(status, 401 | 403)),
        ];
        let headers = object(response, "headers");
        for (name, _) in holding.iter().filter(|(_, holds)| *holds) {
            let name = spelled(name);
            headers.entry(name.clone()).or_insert_with(|| reference("headers", &name));
        }
    }
}

/// Adds the components, of which those stay that something refers to.
fn add_components(document: &mut Value, answered: &BTreeMap<&str, &'static Code>) {
    let used = document["paths"].to_string();
    let refers = |kind: &str, name: &str| used.contains(&format!("\"#/components/{kind}/{name}\""));
    let secured = |scheme: &str| used.contains(&format!("{{\"{scheme}\":["));
    let Some(document) = document.as_object_mut() else { return };
    let all = object(document, "components");
    object(all, "schemas").insert("Problem".to_owned(), problems::schema());
    for (name, header) in components::headers() {
        let name = spelled(&name);
        if refers("headers", &name) {
            object(all, "headers").insert(name, header);
        }
    }
    for (name, parameter) in components::parameters() {
        if refers("parameters", &name) {
            object(all, "parameters").insert(name, parameter);
        }
    }
    for (name, code) in answered {
        object(all, "examples").insert((*name).to_owned(), problems::example(code));
    }
    for (name, scheme) in components::security_schemes() {
        if secured(name) {
            object(all, "securitySchemes").insert(name.to_owned(), scheme);
        }
    }
}

/// The object under this name, which is made if there is none.
fn object<'a>(parent: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(name).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("the line before made it an object")
}
