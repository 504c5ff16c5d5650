//! The document as a page for people, made once: no script, nothing from anywhere else.

mod operation;
mod schema;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::text::{blocks, line, slug};
use super::{Operation, list, members, operations, resolve};
use crate::html::{self, escape};

/// The page's stylesheet.
pub(super) const STYLE: &str =
    concat!(include_str!("../html/reference.css"), include_str!("../html/docs.css"));

/// The whole page.
pub(super) fn render(document: &Value) -> String {
    let info = &document["info"];
    let title = text(info, "title");
    let by_tag = by_tag(document);
    let body = format!(
        "<a class=\"skip\" href=\"#operations\">To the operations</a>\n<header>\n<h1>{}</h1>\n\
         <p class=\"note\">Version {} · <a href=\"/openapi.json\">OpenAPI {}</a> · \
         <a href=\"/problems/\">Problems</a></p>\n{}</header>\n<div class=\"columns\">\n{}<main>\n{}\
         <div id=\"operations\">\n{}</div>\n{}</main>\n</div>",
        escape(title),
        escape(text(info, "version")),
        escape(text(document, "openapi")),
        blocks(text(info, "description")),
        contents(document, &by_tag),
        common(document),
        by_tag.iter().map(|(tag, own)| section(document, tag, own)).collect::<String>(),
        schema::all(document),
    );
    html::page(title, STYLE, &body)
}

/// Operations by tag, tags in the order in which they are declared.
fn by_tag(document: &Value) -> Vec<(String, Vec<Operation<'_>>)> {
    let declared = document.as_object().map(|all| list(all, "tags")).unwrap_or_default();
    let mut found: Vec<(String, Vec<Operation>)> =
        declared.iter().map(|tag| (text(tag, "name").to_owned(), Vec::new())).collect();
    for operation in operations(document) {
        let tag = list(operation.members, "tags").first().and_then(Value::as_str).unwrap_or("other");
        match found.iter_mut().find(|(name, _)| name == tag) {
            Some((_, own)) => own.push(operation),
            None => found.push((tag.to_owned(), vec![operation])),
        }
    }
    found.retain(|(_, own)| !own.is_empty());
    found
}

fn contents(document: &Value, by_tag: &[(String, Vec<Operation>)]) -> String {
    let link = |target: String, words: String| format!("<li><a href=\"#{target}\">{words}</a></li>\n");
    let mut lists = String::new();
    for (tag, own) in by_tag {
        let items = own.iter().map(|operation| {
            let summary = operation.members.get("summary").and_then(Value::as_str).unwrap_or(operation.path);
            link(operation::anchor(operation), line(summary))
        });
        let items: String = items.collect();
        lists.push_str(&format!(
            "<li><a href=\"#tag-{}\">{}</a>\n<ul>\n{items}</ul></li>\n",
            slug(tag),
            escape(tag)
        ));
    }
    let schemas = document.get("components").into_iter().flat_map(|all| members(all, "schemas"));
    let schemas = schemas.map(|(name, _)| link(schema::anchor(name), escape(name))).collect::<String>();
    format!(
        "<nav aria-label=\"Contents\">\n<ul>\n<li><a href=\"#common\">In every operation</a></li>\n{lists}\
         <li><a href=\"#schemas\">Schemas</a>\n<ul>\n{schemas}</ul></li>\n</ul>\n</nav>\n"
    )
}

/// What holds for all, said once: who asks, scopes, headers, problems.
fn common(document: &Value) -> String {
    let components = &document["components"];
    let mut html = String::from("<section id=\"common\">\n<h2>In every operation</h2>\n");
    let schemes: String = members(components, "securitySchemes")
        .map(|(name, scheme)| {
            let how = match scheme["type"].as_str() {
                Some("http") => "<code>Authorization: Bearer …</code>".to_owned(),
                _ => format!("cookie <code>{}</code>", escape(text(scheme, "name"))),
            };
            let about = line(text(scheme, "description"));
            format!(
                "<tr><th scope=\"row\"><code>{}</code></th><td>{how}</td><td>{about}</td></tr>\n",
                escape(name)
            )
        })
        .collect();
    if !schemes.is_empty() {
        html.push_str("<h3 id=\"credentials\">Who asks</h3>\n");
        html.push_str(&table("Who asks", &["Name", "Sent as", "Meaning"], &schemes));
    }
    html.push_str(&scopes(document));
    let headers: String = members(components, "headers")
        .map(|(name, header)| {
            let about = line(text(header, "description"));
            let example = operation::inline(&header["example"]);
            format!(
                "<tr id=\"header-{}\"><th scope=\"row\"><code>{}</code></th><td>{about}</td><td>{example}</td></tr>\n",
                slug(name),
                escape(name)
            )
        })
        .collect();
    html.push_str("<h3>Headers of answers</h3>\n");
    html.push_str(&table("Headers of answers", &["Header", "Meaning", "Example"], &headers));
    html.push_str(
        "<h3>Problems</h3>\n<p>Every error is a problem document (<code>application/problem+json</code>, RFC 9457). Its \
         member <code>code</code> does not change; its <code>type</code> leads to the page that explains it. Each of \
         these can be the answer to every operation:</p>\n",
    );
    html.push_str(&operation::problem_list(
        super::problems::EVERYWHERE
            .map(|code| (code.status.to_string(), code.code.to_owned(), code.title.to_owned())),
    ));
    html.push_str("</section>\n");
    html
}

fn scopes(document: &Value) -> String {
    let mut uses: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for operation in operations(document) {
        for scope in list(operation.members, "x-scopes").iter().filter_map(Value::as_str) {
            uses.entry(scope).or_default().insert(operation::link(&operation));
        }
    }
    if uses.is_empty() {
        return String::new();
    }
    let rows: String = uses
        .iter()
        .map(|(scope, links)| {
            let links = links.iter().map(String::as_str).collect::<Vec<_>>().join("<br>");
            let scope = escape(scope);
            format!(
                "<tr id=\"scope-{}\"><th scope=\"row\"><code>{scope}</code></th><td>{links}</td></tr>\n",
                slug(&scope)
            )
        })
        .collect();
    format!("<h3 id=\"scopes\">Scopes</h3>\n{}", table("Scopes", &["Scope", "Needed by"], &rows))
}

fn section(document: &Value, tag: &str, own: &[Operation]) -> String {
    let declared = document.as_object().map(|all| list(all, "tags")).unwrap_or_default();
    let about = declared.iter().find(|declared| declared["name"] == *tag).map(|tag| text(tag, "description"));
    format!(
        "<section>\n<h2 id=\"tag-{}\">{}</h2>\n{}{}</section>\n",
        slug(tag),
        escape(tag),
        blocks(about.unwrap_or_default()),
        own.iter().map(|one| operation::render(document, one)).collect::<String>()
    )
}

/// A table that scrolls by itself where the window is narrow, also by keyboard.
fn table(label: &str, heads: &[&str], rows: &str) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"{}\" tabindex=\"0\"><table>\n<thead><tr>{heads}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n",
        escape(label)
    )
}

/// The text of a member; empty where there is none.
fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// What a value is or refers to; itself where the reference leads nowhere.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    resolve(document, value).unwrap_or(value)
}
