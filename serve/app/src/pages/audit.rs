//! Pages of the audit log: searching it, taking it away as a file, and verifying that it is whole.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use foundation::audit::Outcome;
use foundation::audit::chain::Head;
use foundation::audit::record::Record;
use foundation::audit::search::{ActorKind, Filter};
use foundation::audit::verify::{Flaw, Verification};
use foundation::page::{Page, Paging};
use foundation::problem::Problem;
use foundation::text::Day;
use serde::Deserialize;
use time::{Date, OffsetDateTime, Time};
use url::form_urlencoded;
use uuid::Uuid;

use super::names::Names;
use super::query::{self, PageQuery};
use super::shell::{Section, Shell};
use super::visitor::Visitor;
use super::{show, words as filters};
use crate::audit_events::list::find;
use crate::audit_events::verify::{Wanted, run};
use crate::state::App;

/// What a page of the log is asked for: days, where programs say moments.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    actor_kind: Option<ActorKind>,
    actor_id: Option<Uuid>,
    token_id: Option<Uuid>,
    action: Option<String>,
    resource_kind: Option<String>,
    resource_id: Option<String>,
    result: Option<Outcome>,
    request_id: Option<String>,
    from: Option<Day>,
    to: Option<Day>,
    cursor: Option<String>,
}

impl Asked {
    fn filter(&self) -> Filter {
        let begins = |day: Date| day.with_time(Time::MIDNIGHT).assume_utc();
        Filter {
            actor_kind: self.actor_kind,
            actor_id: self.actor_id,
            token_id: self.token_id,
            action: self.action.clone(),
            resource_kind: self.resource_kind.clone(),
            resource_id: self.resource_id.clone(),
            result: self.result,
            request_id: self.request_id.clone(),
            from: self.from.map(Day::date).map(begins),
            // The last day is meant to its end.
            to: self.to.map(Day::date).and_then(Date::next_day).map(begins),
        }
    }

    /// Whether one of the filters is in use that are not in everybody's sight.
    fn is_narrow(&self) -> bool {
        let ids = self.actor_id.is_some() || self.token_id.is_some() || self.request_id.is_some();
        ids || self.resource_kind.is_some() || self.resource_id.is_some()
    }

    fn is_filtered(&self) -> bool {
        let filter = self.filter().document();
        filter.as_object().is_some_and(|filter| filter.values().any(|value| !value.is_null()))
    }
}

#[derive(Template)]
#[template(path = "audit/list.html")]
struct ListPage<'a> {
    shell: Shell<'a>,
    asked: &'a Asked,
    events: Page<Record>,
    names: Names,
    first: Option<String>,
    next: Option<String>,
}

impl ListPage<'_> {
    /// Where a program gets the same as a file.
    fn export(&self, format: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("format", format);
        if let Some(filter) = self.asked.filter().document().as_object() {
            for (name, value) in filter.iter().filter_map(|(name, value)| Some((name, value.as_str()?))) {
                query.append_pair(name, value);
            }
        }
        format!("/api/v1/audit-exports?{}", query.finish())
    }

    fn is_of(&self, kind: &ActorKind) -> bool {
        self.asked.actor_kind.as_ref() == Some(kind)
    }

    fn ended(&self, outcome: &Outcome) -> bool {
        self.asked.result.as_ref() == Some(outcome)
    }
}

/// A field with its values before and after, as a person reads them.
pub struct Change {
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What an event has changed.
pub fn changes(event: &Record) -> Vec<Change> {
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&event.changes).unwrap_or_default();
    let said = |value: &serde_json::Value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    fields
        .into_iter()
        .map(|(field, values)| match values.as_array().map(Vec::as_slice) {
            Some([before, after]) => Change { field, before: said(before), after: said(after) },
            _ => Change { field, before: None, after: said(&values) },
        })
        .collect()
}

/// What was done, for people: `made the task`, and what the task is called where the event says so.
pub fn told(event: &Record) -> (String, Option<String>) {
    let (_, done) = event.action.split_once('.').unwrap_or(("", &event.action));
    let verb = match done {
        "create" => "made",
        "update" => "changed",
        "delete" => "deleted",
        "restore" => "restored",
        "mint" => "minted",
        "rotate" => "rotated",
        "rotate_secret" => "rotated the secret of",
        "revoke" => "revoked",
        "accept" => "accepted",
        "export" => "exported",
        "replay" => "delivered again",
        "test" => "tried",
        "enter" => "came to work by",
        "sign-in" => "signed in by",
        "sign-out" => "signed out of",
        // Whatever it is called in the log.
        other => other,
    };
    let named = |change: Change| match change.field.as_str() {
        "name" | "title" | "email" | "url" => change.after.or(change.before),
        _ => None,
    };
    (format!("{verb} the {}", event.resource_kind), changes(event).into_iter().find_map(named))
}

/// The page of what an event was done to, where there is one.
pub fn place(event: &Record) -> Option<String> {
    let id = event.resource_id.as_ref()?;
    let folder = match event.resource_kind.as_str() {
        "project" => "projects",
        "task" => "tasks",
        "agent" => "agents",
        "token" => "tokens",
        "webhook" => "webhooks",
        "delivery" => "deliveries",
        _ => return None,
    };
    Some(format!("/{folder}/{id}"))
}

/// `GET /audit`
pub async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<Asked>,
) -> Result<Response, Problem> {
    let paging = Paging { limit: None, cursor: query.asked.cursor.clone() };
    let events = find(&app, &visitor.actor, &visitor.context, &query.asked.filter(), &paging).await?;
    show::page(&ListPage {
        shell: Shell::new(&visitor, Section::Audit).noting(query.notice),
        asked: &query.asked,
        names: Names::of(&app, &visitor).await?,
        first: query::first(&query.uri),
        next: query::next(&query.uri, events.next_cursor.as_ref()),
        events,
    })
}

#[derive(Template)]
#[template(path = "audit/verification.html")]
struct VerificationPage<'a> {
    shell: Shell<'a>,
    verification: Verification,
    now: OffsetDateTime,
    number: String,
    hash: String,
    is_compared: bool,
}

impl VerificationPage<'_> {
    fn explained(&self, flaw: &Flaw) -> &'static str {
        explained(*flaw)
    }

    /// Where to go on where the chain is too long for one page.
    fn onward(&self) -> Option<String> {
        let Head { number, hash } =
            self.verification.head.as_ref().filter(|_| !self.verification.complete)?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("after_number", &number.to_string()).append_pair("after_hash", hash);
        if self.is_compared {
            query.append_pair("number", &self.number).append_pair("hash", &self.hash);
        }
        Some(format!("/audit/verification?{}", query.finish()))
    }
}

/// What is wrong, for people.
fn explained(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::EventMissing => "an event is missing that was sealed",
        Flaw::EventChanged => "an event is not as it was sealed",
        Flaw::EventAdded => "there is an event that was not sealed",
        Flaw::BatchMissing => "the batch is missing",
        Flaw::LinkBroken => "it does not name the hash of the batch before",
        Flaw::BatchChanged => "what is kept of it is not what its hash covers",
        Flaw::HeadLost => "the chain does not have the head that you named",
    }
}

/// `GET /audit/verification`
pub async fn verify(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    query: PageQuery<Wanted>,
) -> Result<Response, Problem> {
    let known = query.asked.known();
    let (number, hash) =
        known.map(|(number, hash)| (number.to_string(), hash.to_owned())).unwrap_or_default();
    let is_compared = !hash.is_empty();
    let verification = run(&app, &visitor.actor, &visitor.context, query.asked).await?;
    show::page(&VerificationPage {
        shell: Shell::new(&visitor, Section::Audit).noting(query.notice),
        verification,
        now: app.clock.now(),
        number,
        hash,
        is_compared,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_meant_from_its_beginning_to_its_end() {
        let day: Day = serde_json::from_str("\"2026-12-24\"").unwrap();
        let filter = Asked { from: Some(day), to: Some(day), ..Default::default() }.filter();
        let document = filter.document();
        assert_eq!(document["from"], "2026-12-24T00:00:00Z");
        assert_eq!(document["to"], "2026-12-25T00:00:00Z");
        assert!(!Asked::default().is_filtered());
    }
}
