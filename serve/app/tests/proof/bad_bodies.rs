//! Bodies as they should not be, sent to every operation that takes one.

use serde_json::{Value, json};

use crate::description::{Operation, Who};
use crate::scene::Scene;

const MALFORMED: &[&str] = &["body-malformed"];
const INVALID: &[&str] = &["validation-failed"];
/// Minting a token has a kind of its own beside it, for values that are good and of which no token can be made.
const INVALID_TOKEN: &[&str] = &["validation-failed", "invalid-token-request"];
const DEEP: &[&str] = &["body-too-deep"];

/// What is wrong, the body, and how it is refused.
type Case = (String, Vec<u8>, &'static [&'static str]);

fn case(what: impl Into<String>, body: impl Into<Vec<u8>>, codes: &'static [&'static str]) -> Case {
    (what.into(), body.into(), codes)
}

/// Bodies that nothing makes good, whatever the operation.
fn shapeless() -> Vec<Case> {
    let mut cases: Vec<Case> =
        ["", " ", "{", "{\"a\"", "{\"a\":", "{\"a\":1,}", "nope", "{'a':1}", "{\"a\":01}", "NaN"]
            .into_iter()
            .map(|text| case(format!("the text {text:?}"), text, MALFORMED))
            .collect();
    cases.extend(
        ["[]", "null", "1", "true", "\"text\"", "[{}]"].into_iter().map(|text| case(text, text, INVALID)),
    );
    cases.push(case("brackets without end", "[".repeat(500_000), DEEP));
    cases.push(case("braces without end", "{\"a\":".repeat(100_000), DEEP));
    cases
}

/// The good body, broken as text.
fn broken(good: &Value) -> Vec<Case> {
    let text = good.to_string();
    let first = good.as_object().unwrap().iter().next();
    let with = |more: &str| {
        let comma = if first.is_some() { "," } else { "" };
        format!("{}{comma}{more}}}", &text[..text.len() - 1])
    };
    let mut cases = vec![
        case("a mark of byte order", format!("\u{feff}{text}"), MALFORMED),
        case("something after it", format!("{text} x"), MALFORMED),
        case("two bodies", format!("{text}{text}"), MALFORMED),
        case("cut off", &text[..text.len() - 1], MALFORMED),
        case("a byte that is not UTF-8", [with("\"x\":\"").as_bytes(), b"\xff\"}"].concat(), MALFORMED),
        case("UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(), MALFORMED),
        case("a raw NUL", with("\"x\":\"\0\""), MALFORMED),
        case("half a surrogate pair", with("\"x\":\"\\ud800\""), &["body-malformed", "validation-failed"]),
        case("a number out of range", with("\"x\":1e999"), &["body-malformed", "validation-failed"]),
        case("an unknown member", with("\"unknown\":1"), INVALID),
        case("an unknown member with a NUL", with("\"\\u0000\":\"\\u0000\""), INVALID),
        case("a prototype", with("\"__proto__\":{}"), INVALID),
        case("too deep a member", with(&format!("\"x\":{}1{}", "[".repeat(40), "]".repeat(40))), DEEP),
        case(
            "a list of its members",
            json!(good.as_object().unwrap().values().collect::<Vec<_>>()).to_string(),
            INVALID,
        ),
    ];
    if let Some((name, value)) = first {
        cases.push(case("a member twice", with(&format!("{}:{value}", json!(name))), INVALID));
    }
    cases
}

/// The good body, with one member that is not what the description says.
fn wrong(operation: &Operation, good: &Value) -> Vec<Case> {
    let mut cases = Vec::new();
    for name in operation.required() {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(&name);
        cases.push(case(format!("without {name}"), body.to_string(), INVALID));
    }
    let refused = if operation.path.ends_with("/tokens") { INVALID_TOKEN } else { INVALID };
    for (name, schema) in operation.members() {
        for value in not_of(operation, &schema) {
            let mut body = good.clone();
            body[&name] = value.clone();
            let shown: String = value.to_string().chars().take(40).collect();
            cases.push(case(format!("{name} {shown}"), body.to_string(), refused));
        }
    }
    cases
}

/// Values that the schema does not allow.
fn not_of(operation: &Operation, schema: &Value) -> Vec<Value> {
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    assert!(!kinds.is_empty(), "{}: a member has no type: {schema}", operation.label());
    let is = |kind: &str| kinds.contains(&kind);
    let mut values = vec![json!({}), json!({"a": [1]}), json!([[]]), json!(1.5)];
    if !is("null") {
        values.push(Value::Null);
    }
    if !is("boolean") {
        values.push(json!(true));
    }
    if !is("integer") {
        values.extend([json!(7), json!(-1), json!(i64::MAX)]);
    } else {
        values.extend([json!(u64::MAX), json!("7")]);
        values.extend(schema["maximum"].as_i64().map(|most| json!(most + 1)));
        values.extend(schema["minimum"].as_i64().map(|least| json!(least - 1)));
    }
    if is("array") {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let inner = not_of(operation, &operation.resolve(&schema["items"]));
        values.extend(inner.into_iter().map(|value| json!([value])));
        values.push(json!({"0": 1}));
        if least > 0 {
            values.push(json!([]));
        }
    } else {
        values.push(json!([]));
    }
    if is("string") {
        values.extend(not_texts(schema).into_iter().map(Value::from));
    } else {
        values.push(json!("text"));
    }
    values
}

fn not_texts(schema: &Value) -> Vec<String> {
    let mut texts = vec!["\0".to_owned(), "a\0b".to_owned()];
    let formed = ["format", "enum"].iter().any(|one| schema.get(*one).is_some());
    if formed {
        texts.extend(
            ["text", "", " ", "\u{202e}", "-1", "2026-13-45", "../etc", "x@", "\"'><"].map(str::to_owned),
        );
        texts.push("9".repeat(10_000));
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        let most = usize::try_from(most).unwrap();
        texts.extend(["a", "\u{1f600}"].map(|one| one.repeat(most + 1)));
        texts.extend(["a\u{7}b", "a\u{1b}[2J", "a\u{7f}", "a\u{85}"].map(str::to_owned));
    }
    if schema["minLength"].as_u64().is_some_and(|least| least > 0) {
        texts.extend(["", " ", "\u{2003}\u{a0}"].map(str::to_owned));
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn bad_bodies_are_problems_and_write_nothing() {
    let mut scene = Scene::new(12).await;
    let mut sent = 0;
    for operation in scene.operations.clone() {
        let Some(example) = operation.example() else { continue };
        let good = scene.estate.body(&operation, example, false).unwrap();
        for (what, body, codes) in [shapeless(), broken(&good), wrong(&operation, &good)].concat() {
            let ask = scene.good(&operation).body(body);
            scene.refuses(&format!("{} with {what}", operation.label()), &ask, codes).await;
            sent += 1;
        }
    }
    println!("{sent} bad bodies");
    assert!(sent > 100, "only {sent} bodies");
    scene.assert_nothing_written();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn bodies_of_another_kind_are_problems_and_write_nothing() {
    let mut scene = Scene::new(6).await;
    for operation in scene.operations.clone().into_iter().filter(Operation::writes) {
        let label = operation.label();
        // By a cookie, whatever is not JSON could be another site's form.
        let kind: &[&str] = match operation.who {
            Who::Person => &["content-type-unsupported", "cross-site"],
            Who::Actor | Who::Anybody => &["content-type-unsupported"],
        };
        if operation.example().is_some() {
            for other in [
                "text/plain",
                "text/json",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "application/xml",
                "application/jsonx",
                "application/json; charset=latin1",
                "application/json, text/plain",
                "json",
                "",
            ] {
                let ask = scene.good(&operation).instead("content-type", other);
                scene.refuses(&format!("{label} as {other:?}"), &ask, kind).await;
            }
            let none = scene.good(&operation).without("content-type");
            scene.refuses(&format!("{label} as nothing"), &none, kind).await;
            let two = scene.good(&operation).header("content-type", "text/plain");
            scene.refuses(&format!("{label} as two kinds"), &two, kind).await;
        }
        for encoding in ["gzip", "br", "identity, gzip", "nonsense"] {
            let ask = scene.good(&operation).header("content-encoding", encoding);
            scene.refuses(&format!("{label} in {encoding}"), &ask, &["content-encoding-unsupported"]).await;
        }
    }
    scene.assert_nothing_written();
}
