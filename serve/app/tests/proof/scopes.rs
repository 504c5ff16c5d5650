//! Scopes, as the description lists them: each is needed, and reading is all that a read-only token does.

use axum::http::Method;

use crate::description::{Operation, Who};
use crate::estate::anonymous;
use crate::scene::Scene;
use crate::snapshot::Snapshot;
use crate::support::application::Answer;
use crate::support::seed::{self, ALL_SCOPES};

impl Scene {
    /// A new token, which is no change that a request has made.
    fn token(&mut self, scopes: &[&str]) -> String {
        let token = seed::token(&self.stage.servers, self.party.organization, scopes);
        self.before = Snapshot::of_all(&self.stage.servers);
        token
    }

    async fn ask_by_token(&mut self, operation: &Operation, token: &str) -> Answer {
        let ask = self.with_body(operation, anonymous(operation, &self.estate.at(operation)));
        self.wire.send(&ask.bearer(token)).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn each_scope_is_needed_and_named() {
    let mut scene = Scene::new(2).await;
    for scope in ALL_SCOPES {
        let others: Vec<&str> = ALL_SCOPES.iter().copied().filter(|other| other != scope).collect();
        let token = scene.token(&others);
        for operation in scene.operations.clone() {
            if operation.who == Who::Actor && operation.scopes.contains(*scope) {
                let answer = scene.ask_by_token(&operation, &token).await;
                let label = format!("{} without {scope}", operation.label());
                assert_eq!(answer.status, 403, "{label}: {}", answer.text);
                let document = answer.json();
                assert_eq!(
                    (&document["code"], &document["scope"]),
                    (&"insufficient-scope".into(), &(*scope).into()),
                    "{label}"
                );
                assert!(answer.header("www-authenticate").contains("insufficient_scope"), "{label}");
            }
        }
    }
    scene.assert_nothing_written();
    let needed: Vec<_> = scene.operations.iter().flat_map(|operation| &operation.scopes).collect();
    for scope in ALL_SCOPES {
        assert!(needed.iter().any(|needed| needed == scope), "no operation needs {scope}");
    }
    assert!(needed.iter().all(|needed| ALL_SCOPES.contains(&needed.as_str())), "{needed:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_read_only_token_reads_everything_and_writes_nothing() {
    let mut scene = Scene::new(2).await;
    let reading: Vec<&str> = ALL_SCOPES.iter().copied().filter(|scope| scope.ends_with(":read")).collect();
    let token = scene.token(&reading);
    for operation in scene.operations.clone() {
        let answer = scene.ask_by_token(&operation, &token).await;
        let label = operation.label();
        let expected = match (operation.who, &operation.method) {
            (Who::Person, _) => 403,
            (_, &Method::GET) => 200,
            _ => 403,
        };
        assert_eq!(answer.status.as_u16(), expected, "{label}: {}", answer.text);
    }
    scene.assert_nothing_written();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_token_for_one_kind_of_resource_does_nothing_else() {
    let mut scene = Scene::new(2).await;
    for scope in ALL_SCOPES.iter().filter(|scope| scope.ends_with(":read")) {
        let token = scene.token(&[scope]);
        for operation in scene.operations.clone() {
            let suffices = operation.scopes.iter().all(|needed| needed == scope);
            if operation.who != Who::Actor || operation.scopes.is_empty() || suffices {
                continue;
            }
            let answer = scene.ask_by_token(&operation, &token).await;
            assert_eq!(answer.status, 403, "{} with {scope} alone: {}", operation.label(), answer.text);
        }
    }
    scene.assert_nothing_written();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nobody_does_nothing() {
    let mut scene = Scene::new(2).await;
    for operation in scene.operations.clone() {
        let ask = scene.with_body(&operation, anonymous(&operation, &scene.estate.at(&operation)));
        let answer = scene.wire.send(&ask).await.unwrap();
        match operation.who {
            Who::Anybody => assert_ne!(answer.status, 401, "{}", operation.label()),
            Who::Actor | Who::Person => {
                assert_eq!(answer.status, 401, "{}: {}", operation.label(), answer.text);
                assert_eq!(answer.json()["code"], "unauthenticated", "{}", operation.label());
                assert!(!answer.header("www-authenticate").is_empty(), "{}", operation.label());
            }
        }
    }
    scene.assert_nothing_written();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_people_do_no_token_does_and_roles_are_scopes() {
    let mut scene = Scene::new(2).await;
    let token = scene.token(ALL_SCOPES);
    for operation in scene.operations.clone() {
        if operation.who == Who::Person {
            let answer = scene.ask_by_token(&operation, &token).await;
            assert_eq!(answer.status, 403, "{}: {}", operation.label(), answer.text);
        }
    }
    scene.assert_nothing_written();
    // Who only looks on changes nothing that is the organization's.
    let person = seed::person(&scene.stage.servers, scene.party.organization, "viewer", "viewer");
    let cookie = seed::session(&scene.stage.servers, person, Some(scene.party.organization)).await;
    let before = Snapshot::of_all(&scene.stage.servers);
    for operation in scene.operations.clone() {
        let writes = operation.scopes.iter().any(|scope| scope.ends_with(":write"));
        if operation.who == Who::Anybody || !writes {
            continue;
        }
        let ask = scene.party.as_person(&operation, &scene.estate.at(&operation)).instead("cookie", &cookie);
        let ask = scene.with_body(&operation, ask);
        let answer = scene.wire.send(&ask).await.unwrap();
        assert_eq!(answer.status, 403, "{} by a viewer: {}", operation.label(), answer.text);
        assert_eq!(answer.json()["code"], "insufficient-scope", "{}", operation.label());
    }
    before.assert_unchanged(&scene.stage.servers, None);
}
