//! One operation: what it needs, takes and answers.

use serde_json::Value;

use super::super::problems::EVERYWHERE;
use super::super::text::{blocks, line, sample, slug};
use super::super::{Operation, list, members};
use super::schema::{self, kind};
use super::{resolved, table, text};
use crate::html::escape;

const PROBLEM: &str = "application/problem+json";

/// The operation's anchor. It is within what unfolds, so that following a link unfolds it.
pub(super) fn anchor(operation: &Operation) -> String {
    let name = operation.members.get("operationId").and_then(Value::as_str);
    let name = name.map_or_else(|| format!("{} {}", operation.method, operation.path), str::to_owned);
    format!("operation-{}", slug(&name))
}

/// A link to the operation.
pub(super) fn link(operation: &Operation) -> String {
    format!("<a href=\"#{}\">{}</a>", anchor(operation), signature(operation))
}

fn signature(operation: &Operation) -> String {
    format!(
        "<span class=\"method\">{}</span> <code>{}</code>",
        operation.method.to_uppercase(),
        escape(operation.path)
    )
}

/// The whole of it, folded.
pub(super) fn render(document: &Value, operation: &Operation) -> String {
    let own = operation.members;
    let summary = own.get("summary").and_then(Value::as_str).unwrap_or_default();
    let description = own.get("description").and_then(Value::as_str).unwrap_or_default();
    format!(
        "<details>\n<summary><h3>{} <span class=\"about\">{}</span></h3></summary>\n<div id=\"{}\" class=\"inner\">\n\
         {}{}{}{}{}{}</div>\n</details>\n",
        signature(operation),
        line(summary),
        anchor(operation),
        blocks(description),
        security(operation),
        parameters(document, operation),
        body(document, operation),
        answers(document, operation),
        problems(document, operation),
    )
}

fn security(operation: &Operation) -> String {
    let requirements = list(operation.members, "security");
    let mut schemes: Vec<String> = Vec::new();
    for requirement in requirements.iter().filter_map(Value::as_object) {
        schemes.extend(requirement.keys().map(|name| format!("<code>{}</code>", escape(name))));
    }
    let scopes = list(operation.members, "x-scopes").iter().filter_map(Value::as_str);
    let scopes: Vec<String> = scopes
        .map(|scope| format!("<a href=\"#scope-{}\"><code>{}</code></a>", slug(scope), escape(scope)))
        .collect();
    let who = if schemes.is_empty() {
        "Anybody may ask.".to_owned()
    } else {
        format!(
            "Who asks: <a href=\"#credentials\">{}</a>.",
            schemes.join("</a> or <a href=\"#credentials\">")
        )
    };
    match scopes.as_slice() {
        [] => format!("<p>{who}</p>\n"),
        _ => format!("<p>{who} Scopes: {}.</p>\n", scopes.join(", ")),
    }
}

fn parameters(document: &Value, operation: &Operation) -> String {
    let rows: String = list(operation.members, "parameters")
        .iter()
        .map(|parameter| {
            let parameter = resolved(document, parameter);
            let needed = if parameter["required"] == true { "required" } else { "optional" };
            let example = match parameter.get("example") {
                Some(example) => format!(" For example {}.", inline(example)),
                None => String::new(),
            };
            format!(
                "<tr><th scope=\"row\"><code>{}</code><small>{}, {needed}</small></th><td>{}</td><td>{}{example}</td></tr>\n",
                escape(text(parameter, "name")),
                escape(text(parameter, "in")),
                kind(&parameter["schema"]),
                line(text(parameter, "description")),
            )
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("<h4>Parameters</h4>\n{}", table("Parameters", &["Name", "Type", "Meaning"], &rows))
}

fn body(document: &Value, operation: &Operation) -> String {
    let Some(body) = operation.members.get("requestBody") else { return String::new() };
    let body = resolved(document, body);
    let content = members(body, "content").map(|(kind, media)| medium(document, kind, media, "Body"));
    let about = blocks(text(body, "description"));
    format!("<h4>Body</h4>\n{about}{}", content.collect::<String>())
}

/// One form of a body: its type, its members and an example.
fn medium(document: &Value, content: &str, media: &Value, label: &str) -> String {
    let schema = &media["schema"];
    let mut html = format!("<p><code>{}</code>: {}</p>\n", escape(content), kind(schema));
    if schema.get("$ref").is_none() {
        html.push_str(&schema::members_table(document, schema, label));
    }
    if let Some(example) = media.get("example") {
        html.push_str(&sample(&format!("{example:#}"), &format!("{label}, an example")));
    }
    for (name, example) in members(media, "examples") {
        let example = resolved(document, example);
        let value = format!("{:#}", example["value"]);
        html.push_str(&format!("<p>{}</p>\n", line(example["summary"].as_str().unwrap_or(name))));
        html.push_str(&sample(&value, &format!("{label}, an example")));
    }
    html
}

/// The answers that are no problems.
fn answers(document: &Value, operation: &Operation) -> String {
    let responses = operation.members.get("responses").and_then(Value::as_object);
    let mut html = String::new();
    for (status, response) in responses.into_iter().flatten() {
        let response = resolved(document, response);
        let content: Vec<_> = members(response, "content").filter(|(kind, _)| *kind != PROBLEM).collect();
        if content.is_empty() && !status.starts_with(['1', '2', '3']) {
            continue;
        }
        let headers = members(response, "headers")
            .map(|(name, _)| format!("<a href=\"#header-{}\"><code>{}</code></a>", slug(name), escape(name)));
        let headers = headers.collect::<Vec<_>>().join(", ");
        html.push_str(&format!("<h4>Answer {}</h4>\n", escape(status)));
        html.push_str(&blocks(text(response, "description")));
        if !headers.is_empty() {
            html.push_str(&format!("<p class=\"note\">Headers: {headers}</p>\n"));
        }
        let label = format!("Answer {status}");
        html.extend(content.iter().map(|(kind, media)| medium(document, kind, media, &label)));
    }
    html
}

/// The problems that not every operation has.
fn problems(document: &Value, operation: &Operation) -> String {
    let responses = operation.members.get("responses").and_then(Value::as_object);
    let mut found = Vec::new();
    for (status, response) in responses.into_iter().flatten() {
        for (code, example) in members(&resolved(document, response)["content"][PROBLEM], "examples") {
            if EVERYWHERE.iter().all(|everywhere| everywhere.code != code) {
                let title = text(resolved(document, example), "summary");
                found.push((status.clone(), code.clone(), title.to_owned()));
            }
        }
    }
    if found.is_empty() {
        return String::new();
    }
    format!(
        "<h4>Problems</h4>\n<p class=\"note\">Beside <a href=\"#common\">those of every operation</a>.</p>\n{}",
        problem_list(found)
    )
}

/// Status, code and title of each, linked to its page.
pub(super) fn problem_list(problems: impl IntoIterator<Item = (String, String, String)>) -> String {
    let rows = problems.into_iter().map(|(status, code, title)| {
        format!(
            "<tr><td>{}</td><th scope=\"row\"><a href=\"/problems/{}\"><code>{}</code></a></th><td>{}</td></tr>\n",
            escape(&status),
            slug(&code),
            escape(&code),
            line(&title)
        )
    });
    table("Problems", &["Status", "Code", "Meaning"], &rows.collect::<String>())
}

/// A value within a line; text without its quotation marks.
pub(super) fn inline(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("<code>{}</code>", escape(&text))
}
