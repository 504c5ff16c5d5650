//! An application with one organization that has one of everything, and nothing that happens by itself.

use std::collections::BTreeSet;

use axum::http::Method;

use crate::description::{Operation, operations};
use crate::estate::{Estate, Party};
use crate::snapshot::Snapshot;
use crate::stage::Stage;
use crate::support::application::Answer;
use crate::wire::{Ask, Wire};

pub struct Scene {
    pub stage: Stage,
    pub operations: Vec<Operation>,
    pub party: Party,
    pub estate: Estate,
    pub wire: Wire,
    pub before: Snapshot,
    documented: BTreeSet<String>,
}

impl Scene {
    /// With so many tokens of the organization's agents.
    pub async fn new(tokens: usize) -> Self {
        let mut stage = Stage::new().await;
        let operations = operations(&stage.application).await;
        let party = Party::new(&stage, "owners", tokens).await;
        let estate = Estate::of(&stage, &operations, &party).await;
        stage.without_workers().await;
        let wire = Wire::to(&stage.application);
        let before = Snapshot::of_all(&stage.servers);
        Self { stage, operations, party, estate, wire, before, documented: BTreeSet::new() }
    }

    /// A request for the operation with which nothing is wrong.
    pub fn good(&self, operation: &Operation) -> Ask {
        self.with_body(operation, self.party.asks(operation, &self.estate.at(operation)))
    }

    /// The request with a body that is good.
    pub fn with_body(&self, operation: &Operation, ask: Ask) -> Ask {
        match operation.example() {
            Some(body) => ask.json(&self.estate.body(operation, body, false).unwrap()),
            None => ask,
        }
    }

    /// Sends it, and expects a problem of one of these kinds.
    pub async fn refuses(&mut self, label: &str, ask: &Ask, codes: &[&str]) {
        let answer = match self.wire.send(ask).await {
            Ok(answer) => answer,
            Err(error) => panic!("{label}: {error}"),
        };
        self.is_problem(label, &answer, codes).await;
    }

    /// A whole problem document, of a kind that has its page of documentation.
    pub async fn is_problem(&mut self, label: &str, answer: &Answer, codes: &[&str]) {
        let told = format!("{label}: {} {}", answer.status, answer.text);
        assert!(answer.status.is_client_error(), "{told}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{told}");
        let document = answer.json();
        let code = document["code"].as_str().unwrap_or_default().to_owned();
        assert!(codes.contains(&code.as_str()), "{told}; expected {codes:?}");
        assert_eq!(document["status"], answer.status.as_u16(), "{told}");
        assert_eq!(document["type"], format!("/problems/{code}"), "{told}");
        assert_eq!(document["request_id"], answer.header("x-request-id"), "{told}");
        if self.documented.insert(code.clone()) {
            let page = self.wire.send(&Ask::new(Method::GET, &format!("/problems/{code}"))).await.unwrap();
            assert_eq!(page.status, 200, "{code} has no page");
        }
    }

    #[track_caller]
    pub fn assert_nothing_written(&self) {
        self.before.assert_unchanged(&self.stage.servers, None);
    }
}
