//! What the application does with the world outside: people sign in at an issuer, webhooks are delivered.

use super::caller::{self, Answer, Caller};
use super::issuer::{CLIENT_ID, CLIENT_SECRET, EMAIL, Issuer};
use super::world::{self, Request};
use super::{agent, problem, sql};
use crate::Test;
use crate::building::built;
use crate::stage::{PLATFORM, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{LazyLock, Mutex, PoisonError};

pub const TESTS: &[Test] = &[
    ("what_the_platform_file_says_of_services_reaches_the_container_and_nobody_else", told),
    ("a_person_signs_in_at_the_issuer_and_makes_an_organization_with_an_agent", signs_in),
    ("a_webhook_is_delivered_through_the_edge_with_a_signature", delivered),
    ("services_that_the_platform_file_names_no_more_are_forgotten", forgotten),
];

/// Deliveries that have come.
static DELIVERED: Mutex<Vec<Request>> = Mutex::new(Vec::new());

/// Where the world's server is, once the platform was told of it.
static OUTSIDE: LazyLock<String> = LazyLock::new(|| {
    built();
    let address = caller::address_of("client2");
    let issuer = Issuer::new(format!("https://{address}"));
    world::serve(&address, move |request| {
        issuer.answer(request).unwrap_or_else(|| {
            DELIVERED.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            (204, vec![], String::new())
        })
    });
    let directory = &PLATFORM.directory;
    fs::write(directory.join("world.pem"), world::authority()).unwrap();
    fs::write(directory.join("sign-in"), format!("{CLIENT_SECRET}\n")).unwrap();
    let settings = format!(
        "[app]\nextra_authority = 'world.pem'\n[app.sign_in]\nissuer = 'https://{address}'\n\
         client_id = '{CLIENT_ID}'\nclient_secret_file = 'sign-in'\n[lab]"
    );
    let file = PLATFORM.variant("outside", &[("[lab]", &settings)]);
    fs::set_permissions(directory.join("sign-in"), PermissionsExt::from_mode(0o640)).unwrap();
    PLATFORM.run_with(&file, &["plan"]).expect(1).says("chmod 0600");
    fs::set_permissions(directory.join("sign-in"), PermissionsExt::from_mode(0o600)).unwrap();
    let plan = PLATFORM.run_with(&file, &["plan", "--exit-code"]).expect(3);
    assert!(!plan.stdout.contains("needs %-encoding"), "{}", plan.stdout);
    PLATFORM.run_with(&file, &["apply"]).expect(0);
    address
});

fn told() {
    let address = OUTSIDE.as_str();
    let kept =
        PLATFORM.on("app", "cd /etc/bastide/app && stat -c '%a %U' sign-in.password && cat sign-in.password");
    assert_eq!(kept, format!("400 bastide-app\n{CLIENT_SECRET}\n"));
    let environment =
        PLATFORM.on("app", "cat /proc/$(docker inspect -f '{{.State.Pid}}' $(docker ps -q))/environ");
    assert!(environment.contains(&format!("OIDC_ISSUER=https://{address}")), "{environment:?}");
    assert!(!environment.contains("needs %-encoding"), "{environment:?}");
}

/// A page of the site, in a browser of which the person has signed in.
fn signed_in() -> (Caller, Answer) {
    let world = PLATFORM.directory.join("world.pem");
    let start = Caller::nobody().get("/sign-in?return_to=/docs");
    let question = start.expect(303).header("location").to_owned();
    assert!(question.starts_with(&format!("https://{}/authorize?", *OUTSIDE)), "{question}");
    let answer = caller::ask(&question, world.to_str().unwrap(), &[], &[]);
    let callback = answer.expect(303).header("location").strip_prefix(&caller::url("")).unwrap().to_owned();
    let browser = start.headers.iter().find(|(name, _)| name == "set-cookie").unwrap();
    let browser = browser.1.split(';').next().unwrap();
    // Nobody else's browser gets in by it.
    let done = Caller::nobody().send("GET", &callback, &[("cookie", browser)], None);
    assert_eq!(done.expect(303).header("location"), "/docs", "{done:?}");
    (Caller::in_browser(&done.cookie("__Host-session"), &caller::url("")), done)
}

fn signs_in() {
    let (person, answer) = signed_in();
    let set = answer.headers.iter().find(|(_, value)| value.starts_with("__Host-session=")).unwrap();
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.1.contains(attribute), "{set:?}");
    }
    let me = person.get("/api/v1/me").expect(200).json();
    assert_eq!((&me["kind"], &me["email"]), (&json!("person"), &json!(EMAIL)));
    let row = sql("SELECT address || ' ' || result FROM audit_events WHERE action = 'session.sign-in'");
    assert_eq!(row, format!("{} success", caller::address()));

    let made = person.post("/api/v1/organizations", &json!({"name": "Ada's"}));
    let organization = made.expect(201).json()["id"].clone();
    let cookie = &answer.cookie("__Host-session");
    let elsewhere = Caller::in_browser(cookie, "https://evil.example");
    problem(&elsewhere.post("/api/v1/organizations", &json!({"name": "Eve's"})), 403, "cross-site");
    let entered = json!({"organization_id": organization});
    person.send("PUT", "/api/v1/me/organization", &[], Some(&entered)).expect(200);
    let robot = person.post("/api/v1/agents", &json!({"name": "Robot"}));
    let tokens = format!("/api/v1/agents/{}/tokens", robot.expect(201).json()["id"].as_str().unwrap());
    let minted = person.post(&tokens, &json!({"name": "lab", "scopes": ["projects:read", "audit:read"]}));
    let token = minted.expect(201).json()["secret"].as_str().unwrap().to_owned();
    let robot = Caller::with_token(&token);
    assert_eq!(robot.get("/api/v1/projects").expect(200).json()["items"], json!([]));
    eventually("the chain of the organization's audit events holds", 30, || {
        let chain = robot.get("/api/v1/audit-chain").expect(200).json();
        assert_ne!(chain["intact"], json!(false), "{chain}");
        (chain["head"]["number"].as_i64()? >= 1).then_some(())
    });
    person.send("DELETE", "/api/v1/sessions", &[], None).expect(204);
    problem(&person.get("/api/v1/me"), 401, "unauthenticated");
}

fn delivered() {
    let hook = format!("https://{}/hook", *OUTSIDE);
    let inward = agent().post("/api/v1/webhooks", &json!({"url": "https://10.0.0.30/hook"}));
    problem(&inward, 422, "validation-failed");
    let made = agent().post("/api/v1/webhooks", &json!({"url": hook, "events": ["project.created"]}));
    let secret = made.expect(201).json()["secret"].as_str().unwrap().to_owned();
    let project = agent().post("/api/v1/projects", &json!({"name": "Announced"}));
    let id = project.expect(201).json()["id"].clone();
    let came = eventually("the webhook is delivered", 30, || {
        let delivered = DELIVERED.lock().unwrap_or_else(PoisonError::into_inner);
        delivered.iter().find(|request| request.body.contains("Announced")).cloned()
    });
    let event: serde_json::Value = serde_json::from_str(&came.body).unwrap();
    assert_eq!((&event["type"], &event["data"]["id"]), (&json!("project.created"), &id));
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let [id, at] = ["webhook-id", "webhook-timestamp"].map(|name| came.header(name));
    let signed = format!("{id}.{at}.{}", came.body);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    assert_eq!(came.header("webhook-signature"), format!("v1,{}", STANDARD.encode(tag)));
}

fn forgotten() {
    let _ = OUTSIDE.as_str();
    PLATFORM.run(&["apply"]).expect(0);
    PLATFORM.on("app", &format!("! grep -rqF '{CLIENT_SECRET}' /etc/bastide/app"));
    // Where the platform file names no issuer, people sign in at the platform's own.
    let answer = Caller::nobody().get("/sign-in");
    let issuer = format!("https://id.{}.test/", PLATFORM.name);
    assert!(answer.expect(303).header("location").starts_with(&issuer), "{answer:?}");
}
