//! What belongs to another organization is not there: by every route and method, in every query and body.

use axum::http::Method;
use serde_json::{Value, json};

use crate::description::{Operation, Who, operations};
use crate::estate::{Estate, Party, places};
use crate::snapshot::Snapshot;
use crate::stage::Stage;
use crate::support::application::Answer;
use crate::wire::{Ask, Wire};

/// An organization, and somebody of another one who may do everything there, and wants more.
struct Attack {
    stage: Stage,
    operations: Vec<Operation>,
    victim: (Party, Estate),
    stranger: (Party, Estate),
    before: Snapshot,
}

impl Attack {
    async fn new() -> Self {
        let mut stage = Stage::new().await;
        let operations = operations(&stage.application).await;
        let (victim, stranger) =
            (Party::new(&stage, "victim", 4).await, Party::new(&stage, "stranger", 4).await);
        let (theirs, own) = (
            Estate::of(&stage, &operations, &victim).await,
            Estate::of(&stage, &operations, &stranger).await,
        );
        // From now on nothing happens by itself.
        stage.without_workers().await;
        let before = Snapshot::of(&stage.servers, victim.organization);
        Self { stage, operations, victim: (victim, theirs), stranger: (stranger, own), before }
    }

    /// Asks as the stranger, in each way that the operation allows.
    fn ways(&self, operation: &Operation, path: &str) -> Vec<Ask> {
        let stranger = &self.stranger.0;
        match operation.who {
            Who::Actor => vec![stranger.asks(operation, path), stranger.as_person(operation, path)],
            Who::Anybody | Who::Person => vec![stranger.asks(operation, path)],
        }
    }

    /// The operation's example, which names what is the stranger's own.
    fn body(&self, operation: &Operation) -> Option<Value> {
        operation.example().map(|example| self.stranger.1.body(operation, example, false).unwrap())
    }

    #[track_caller]
    fn shows_nothing(&self, label: &str, answer: &Answer) {
        let found = self.victim.1.ids().find(|id| answer.text.contains(id));
        assert_eq!(found, None, "{label} shows what is another's: {}", answer.text);
    }

    fn finish(&self) {
        self.before.assert_unchanged(&self.stage.servers, Some(self.victim.0.organization));
    }
}

/// Every way to mix the places of a path: true where it is the victim's identifier; it is at least once.
fn mixtures(places: usize) -> impl Iterator<Item = Vec<bool>> {
    (1..1_u32 << places).map(move |bits| (0..places).map(|place| bits >> place & 1 == 1).collect())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_is_anothers_is_not_there_by_any_route_and_method() {
    let attack = Attack::new().await;
    let (theirs, own) = (&attack.victim.1, &attack.stranger.1);
    let mut wire = Wire::to(&attack.stage.application);
    let mut asked = 0;
    for operation in &attack.operations {
        let places = places(&operation.path);
        for mixture in mixtures(places.len()) {
            let foreign = |place: &str| {
                places
                    .iter()
                    .zip(&mixture)
                    .any(|(known, foreign)| known == place && *foreign)
                    .then(|| theirs.id(place))
            };
            let path = own.path_with(&operation.path, foreign).unwrap() + &operation.least_query();
            for ask in attack.ways(operation, &path) {
                let ask = match attack.body(operation) {
                    Some(body) => ask.json(&body),
                    None => ask,
                };
                let answer = wire.send(&ask).await.unwrap();
                let label = format!("{} at {path}", operation.label());
                assert_eq!(answer.status, 404, "{label}: {}", answer.text);
                let code = answer.json()["code"].clone();
                assert_eq!(code, "not-found", "{label}: {}", answer.text);
                asked += 1;
            }
        }
    }
    assert!(asked > 40, "only {asked} requests were made");
    attack.finish();

    // To whom it belongs it is there: what was asked for are no paths that nobody finds.
    for operation in attack.operations.iter().filter(|one| one.method == Method::GET) {
        let answer = wire.send(&attack.victim.0.asks(operation, &theirs.at(operation))).await.unwrap();
        assert_eq!(answer.status, 200, "{}: {}", operation.label(), answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_is_anothers_is_in_no_list_and_no_query() {
    let attack = Attack::new().await;
    let (theirs, own) = (&attack.victim.1, &attack.stranger.1);
    let mut wire = Wire::to(&attack.stage.application);
    let mut filtered = 0;
    for operation in attack.operations.iter().filter(|one| one.method == Method::GET) {
        let path = own.at(operation);
        for ask in attack.ways(operation, &path) {
            let answer = wire.send(&ask).await.unwrap();
            assert_eq!(answer.status, 200, "{}: {}", operation.label(), answer.text);
            attack.shows_nothing(&operation.label(), &answer);
        }
    }
    // Only now: the stranger's own audit events say from here on which identifiers the stranger tried.
    for operation in attack.operations.iter().filter(|one| one.method == Method::GET) {
        for name in operation.identifiers_in_query() {
            for id in theirs.ids() {
                for ask in attack.ways(operation, &own.at_with(operation, &format!("{name}={id}"))) {
                    let answer = wire.send(&ask).await.unwrap();
                    let label = format!("{}?{name}={id}", operation.label());
                    let listed = answer.header("content-type") == "application/json";
                    let empty = answer.status == 200 && (!listed || answer.json()["items"] == json!([]));
                    assert!(empty || answer.status == 404, "{label}: {} {}", answer.status, answer.text);
                    if !listed {
                        attack.shows_nothing(&label, &answer);
                    }
                    filtered += 1;
                }
            }
        }
        if operation.is_paged() {
            // A cursor says where a list of the victim's goes on.
            let list =
                wire.send(&attack.victim.0.asks(operation, &theirs.at_with(operation, "limit=1"))).await;
            if let Some(cursor) = list.unwrap().json()["next_cursor"].as_str() {
                let answer = wire
                    .send(
                        &attack
                            .stranger
                            .0
                            .asks(operation, &own.at_with(operation, &format!("cursor={cursor}"))),
                    )
                    .await;
                let answer = answer.unwrap();
                assert_eq!(answer.json()["code"], "bad-cursor", "{}: {}", operation.label(), answer.text);
            }
        }
    }
    assert!(filtered > 0, "no list is filtered by an identifier");
    attack.finish();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nothing_is_made_of_what_is_anothers() {
    let attack = Attack::new().await;
    let theirs: Vec<&str> = attack.victim.1.ids().collect();
    let mut wire = Wire::to(&attack.stage.application);
    let mut asked = 0;
    for operation in attack.operations.iter().filter(|one| one.writes()) {
        let path = attack.stranger.1.at(operation);
        for (name, schema) in operation.members() {
            let many = operation.resolve(&schema["items"])["format"] == "uuid";
            if !many && schema["format"] != "uuid" {
                continue;
            }
            for id in &theirs {
                let mut body = attack.body(operation).unwrap();
                body[&name] = if many { json!([id]) } else { json!(id) };
                for ask in attack.ways(operation, &path) {
                    let answer = wire.send(&ask.json(&body)).await.unwrap();
                    let label = format!("{} with {name} {id}", operation.label());
                    // A token may be restricted to whatever there is or is not: it is worth nothing there.
                    let restricted = many && answer.status == 201;
                    assert!(
                        restricted || matches!(answer.status.as_u16(), 403 | 404 | 422),
                        "{label}: {}",
                        answer.text
                    );
                    let more = theirs.iter().find(|other| *other != id && answer.text.contains(**other));
                    assert_eq!(more, None, "{label} shows what is another's: {}", answer.text);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 0, "no body names an identifier");
    attack.finish();
}
