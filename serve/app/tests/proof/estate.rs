//! One of everything that an organization can have, made and found by the operations of the description.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::description::{Operation, Who};
use crate::stage::Stage;
use crate::support::application::PUBLIC_URL;
use crate::support::seed::{self, ALL_SCOPES};
use crate::wire::{Ask, Wire};

/// What a worker makes takes some time.
const PATIENCE: Duration = Duration::from_secs(20);

static ASKED: AtomicU32 = AtomicU32::new(0);

/// An organization with those who may do everything in it.
pub struct Party {
    pub organization: Uuid,
    tokens: Vec<String>,
    cookies: Vec<String>,
}

impl Party {
    /// With so many tokens and owners who are signed in, each of which take turns.
    pub async fn new(stage: &Stage, name: &str, tokens: usize) -> Self {
        let organization = seed::organization(&stage.servers, name);
        let mut cookies = Vec::new();
        for number in 0..tokens {
            let person = seed::person(&stage.servers, organization, &format!("{name}-{number}"), "owner");
            cookies.push(seed::session(&stage.servers, person, Some(organization)).await);
        }
        let tokens = (0..tokens).map(|_| seed::token(&stage.servers, organization, ALL_SCOPES)).collect();
        Self { organization, tokens, cookies }
    }

    /// The token whose turn it is.
    pub fn token(&self) -> &str {
        &self.tokens[ASKED.load(Ordering::Relaxed) as usize % self.tokens.len()]
    }

    /// The session whose turn it is.
    pub fn cookie(&self) -> &str {
        &self.cookies[ASKED.load(Ordering::Relaxed) as usize % self.cookies.len()]
    }

    /// Asks for the operation as an agent where one may, and as a person otherwise.
    pub fn asks(&self, operation: &Operation, path: &str) -> Ask {
        match operation.who {
            Who::Person => self.as_person(operation, path),
            Who::Actor | Who::Anybody => anonymous(operation, path).bearer(self.token()),
        }
    }

    /// As an owner, from a page of the site.
    pub fn as_person(&self, operation: &Operation, path: &str) -> Ask {
        anonymous(operation, path).header("cookie", self.cookie()).header("origin", PUBLIC_URL)
    }
}

/// Asks for the operation without saying who asks; everything else is as it should be. From one of many addresses.
pub fn anonymous(operation: &Operation, path: &str) -> Ask {
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    let mut ask = Ask::new(operation.method.clone(), path)
        .header("x-forwarded-for", format!("198.51.100.{}", number % 250 + 1));
    if operation.writes() {
        ask = ask.header("content-type", "application/json");
    }
    if operation.takes_if_match() {
        ask = ask.header("if-match", "*");
    }
    ask
}

/// The identifiers of what an organization has, by the path up to the identifier: `/api/v1/tasks/{id}`.
pub struct Estate(BTreeMap<String, String>);

impl Estate {
    /// Makes and finds one of everything.
    pub async fn of(stage: &Stage, operations: &[Operation], party: &Party) -> Self {
        let wanted: BTreeSet<String> = operations.iter().flat_map(|one| places(&one.path)).collect();
        let organization = ("/api/v1/organizations/{id}".to_owned(), party.organization.to_string());
        let mut estate = Self(BTreeMap::from([organization]));
        let mut wire = Wire::to(&stage.application);
        let started = Instant::now();
        loop {
            let known = estate.0.len();
            for place in &wanted {
                if !estate.0.contains_key(place)
                    && let Some(id) = estate.find(&mut wire, operations, party, place).await
                {
                    estate.0.insert(place.clone(), id);
                }
            }
            let missing: Vec<&String> =
                wanted.iter().filter(|place| !estate.0.contains_key(*place)).collect();
            if missing.is_empty() {
                return estate;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{missing:?}: no operation makes or lists one for this test; tell serve/app/tests/proof/estate.rs how"
            );
            if estate.0.len() == known {
                // What follows from events waits for one.
                let project = operations.iter().find(|one| one.id == "createProject").unwrap();
                estate.make(&mut wire, party, project).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Makes one or takes the first of the list.
    async fn find(
        &self,
        wire: &mut Wire,
        operations: &[Operation],
        party: &Party,
        place: &str,
    ) -> Option<String> {
        let (collection, name) = place.rsplit_once('/').unwrap();
        let noun = collection.rsplit('/').next().unwrap();
        let about = |method: Method| {
            operations
                .iter()
                .filter(move |one| one.method == method && one.path.rsplit('/').next() == Some(noun))
        };
        for operation in about(Method::POST) {
            if let Some(id) = self.make(wire, party, operation).await {
                return Some(id);
            }
        }
        for operation in about(Method::GET) {
            let Some(path) = self.path(&operation.path) else { continue };
            let answer = wire.send(&party.asks(operation, &path)).await.unwrap();
            assert_eq!(answer.status, 200, "{}: {}", operation.label(), answer.text);
            let first = answer.json()["items"][0].clone();
            let id = first.get(name.trim_matches(['{', '}'])).or(first.get("id")).and_then(Value::as_str);
            if let Some(id) = id {
                return Some(id.to_owned());
            }
        }
        None
    }

    async fn make(&self, wire: &mut Wire, party: &Party, operation: &Operation) -> Option<String> {
        let path = self.path(&operation.path)?;
        let mut ask = party.asks(operation, &path);
        if let Some(body) = operation.example() {
            ask = ask.json(&self.body(operation, body, true)?);
        }
        let answer = wire.send(&ask).await.unwrap();
        assert_eq!(answer.status, 201, "{}: {}", operation.label(), answer.text);
        answer.header("location").rsplit('/').next().filter(|id| !id.is_empty()).map(str::to_owned)
    }

    /// The body with identifiers of this estate in place of those of the example; only what is required, if so wanted.
    /// None where an identifier is not known yet.
    pub fn body(&self, operation: &Operation, example: Value, least: bool) -> Option<Value> {
        let (required, mut body) = (operation.required(), example);
        if least {
            body.as_object_mut()?.retain(|name, _| required.contains(name));
        }
        for (name, schema) in operation.members() {
            let refers = schema["format"] == "uuid" && body.get(&name).is_some();
            if refers {
                body[&name] = self.reference(&name)?.into();
            }
        }
        Some(body)
    }

    /// What a member such as `project_id` refers to.
    pub fn reference(&self, member: &str) -> Option<&str> {
        let noun = member.strip_suffix("_id")?;
        let about = |place: &str| place.rsplit('/').nth(1).is_some_and(|plural| plural == format!("{noun}s"));
        self.0.iter().find(|(place, _)| about(place)).map(|(_, id)| id.as_str())
    }

    /// The path with identifiers of this estate, if all of them are known.
    pub fn path(&self, path: &str) -> Option<String> {
        self.path_with(path, |_| None)
    }

    /// The same, with other identifiers where `other` has one for the place.
    pub fn path_with(&self, path: &str, other: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut filled = String::new();
        let mut place = String::new();
        for segment in path.split('/').skip(1) {
            place = format!("{place}/{segment}");
            let id = if segment.starts_with('{') {
                other(&place).or_else(|| self.0.get(&place).cloned())?
            } else {
                segment.to_owned()
            };
            filled = format!("{filled}/{id}");
        }
        Some(filled)
    }

    /// Where the operation is, with the query that it needs and this one.
    pub fn at_with(&self, operation: &Operation, query: &str) -> String {
        let (path, least) = (self.path(&operation.path).unwrap(), operation.least_query());
        match (least.is_empty(), query.is_empty()) {
            (_, true) => path + &least,
            (true, false) => format!("{path}?{query}"),
            (false, false) => format!("{path}{least}&{query}"),
        }
    }

    /// Where the operation is.
    pub fn at(&self, operation: &Operation) -> String {
        self.at_with(operation, "")
    }

    pub fn id(&self, place: &str) -> String {
        self.0[place].clone()
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }
}

/// The path up to each of its identifiers.
pub fn places(path: &str) -> Vec<String> {
    path.match_indices('}').map(|(at, _)| path[..=at].to_owned()).collect()
}
