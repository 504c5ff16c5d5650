//! What the application does with the world outside: people sign in at an issuer and invite others by mail, webhooks are
//! delivered, errors are reported.

use super::caller::{self, Answer, Caller};
use super::issuer::{CLIENT_ID, CLIENT_SECRET, Issuer, PERSON, email};
use super::mail;
use super::seed::uuid;
use super::world::{self, Request};
use super::{agent, problem, sql};
use crate::Test;
use crate::building::built;
use crate::stage::{PLATFORM, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{LazyLock, Mutex, PoisonError};

pub const TESTS: &[Test] = &[
    ("what_the_platform_file_says_of_services_reaches_the_container_and_nobody_else", told),
    ("a_person_signs_in_at_the_issuer_and_makes_an_organization_with_an_agent", signs_in),
    ("an_invitation_is_mailed_through_the_edge_and_its_link_makes_a_member", invites),
    ("nobody_but_the_application_reaches_a_mail_server_and_that_at_its_port_alone", way_of_mail),
    ("a_webhook_is_delivered_through_the_edge_with_a_signature", delivered),
    ("an_error_is_reported_to_the_tracker_with_its_request_and_without_secrets", reported),
    ("services_that_the_platform_file_names_no_more_are_forgotten", forgotten),
];

/// Key of the application at the error tracker.
const TRACKER_KEY: &str = "0123456789abcdef0123456789abcdef";
/// What `timeout` says of a connection within the lab that was dropped: nobody has answered in a second.
const DROPPED: &str = "124";

/// What has come, beside what the issuer was asked.
static CAME: Mutex<Vec<Request>> = Mutex::new(Vec::new());

/// The first request to `path` with this text in its body.
fn came(path: &str, text: &str) -> Option<Request> {
    let came = CAME.lock().unwrap_or_else(PoisonError::into_inner);
    came.iter().find(|request| request.target == path && request.body.contains(text)).cloned()
}

/// Where the world's servers are, once the platform was told of them.
static OUTSIDE: LazyLock<String> = LazyLock::new(|| {
    built();
    let address = caller::address_of("client2");
    let issuer = Issuer::new(format!("https://{address}"));
    world::serve(&address, move |request| {
        issuer.answer(request).unwrap_or_else(|| {
            CAME.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            (204, vec![], String::new())
        })
    });
    mail::serve(&address);
    let directory = &PLATFORM.directory;
    fs::write(directory.join("world.pem"), world::authority()).unwrap();
    for (file, secret) in [("sign-in", CLIENT_SECRET), ("mail", mail::PASSWORD)] {
        fs::write(directory.join(file), format!("{secret}\n")).unwrap();
        fs::set_permissions(directory.join(file), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let user = mail::USER.replace('@', "%40");
    let settings = format!(
        "[app]\nextra_authority = 'world.pem'\nerror_tracker = 'https://{TRACKER_KEY}@{address}/1'\n\
         [app.sign_in]\nissuer = 'https://{address}'\nclient_id = '{CLIENT_ID}'\n\
         client_secret_file = 'sign-in'\n[app.mail]\nurl = 'smtps://{user}@{address}'\n\
         from = 'Shop <no-reply@example.test>'\npassword_file = 'mail'\n[lab]"
    );
    let file = PLATFORM.variant("outside", &[("[lab]", &settings)]);
    fs::set_permissions(directory.join("sign-in"), PermissionsExt::from_mode(0o640)).unwrap();
    PLATFORM.run_with(&file, &["plan"]).expect(1).says("chmod 0600");
    fs::set_permissions(directory.join("sign-in"), PermissionsExt::from_mode(0o600)).unwrap();
    let plan = PLATFORM.run_with(&file, &["plan", "--exit-code"]).expect(3);
    for secret in [CLIENT_SECRET, mail::PASSWORD] {
        assert!(!plan.stdout.contains(secret), "{}", plan.stdout);
    }
    PLATFORM.run_with(&file, &["apply"]).expect(0);
    address
});

fn told() {
    let address = OUTSIDE.as_str();
    let kept = PLATFORM.on(
        "app",
        "cd /etc/bastide/app && stat -c '%a %U' sign-in.password mail.password && cat sign-in.password mail.password",
    );
    let each = "400 bastide-app\n";
    assert_eq!(kept, format!("{each}{each}{CLIENT_SECRET}\n{}\n", mail::PASSWORD));
    let environment = environment();
    for line in [
        format!("OIDC_ISSUER=https://{address}"),
        format!("SMTP_URL=smtps://shop%40example.test@{address}"),
        format!("SENTRY_DSN=https://{TRACKER_KEY}@{address}/1"),
    ] {
        assert!(environment.split('\0').any(|found| found == line), "{line}: {environment:?}");
    }
    for secret in [CLIENT_SECRET, mail::PASSWORD] {
        assert!(!environment.contains(secret), "{environment:?}");
    }
}

/// What the container that serves was started with.
fn environment() -> String {
    PLATFORM.on("app", "cat /proc/$(docker inspect -f '{{.State.Pid}}' $(docker ps -q))/environ")
}

/// A page of the site, in a browser of which this person has signed in.
fn signed_in(person: &str) -> (Caller, Answer) {
    let address = OUTSIDE.as_str();
    let world = PLATFORM.directory.join("world.pem");
    let start = Caller::nobody().get("/sign-in?return_to=/docs");
    let question = start.expect(303).header("location").to_owned();
    assert!(question.starts_with(&format!("https://{address}/authorize?")), "{question}");
    let question = format!("{question}&{PERSON}={person}");
    let answer = caller::ask(&question, world.to_str().unwrap(), &[], &[]);
    let callback = answer.expect(303).header("location").strip_prefix(&caller::url("")).unwrap().to_owned();
    let browser = start.headers.iter().find(|(name, _)| name == "set-cookie").unwrap();
    let browser = browser.1.split(';').next().unwrap();
    // Nobody else's browser gets in by it.
    let done = Caller::nobody().send("GET", &callback, &[("cookie", browser)], None);
    assert_eq!(done.expect(303).header("location"), "/docs", "{done:?}");
    (Caller::in_browser(&done.cookie("__Host-session"), &caller::url("")), done)
}

/// Makes an organization, in which the person works from then on: its path.
fn found(person: &Caller, name: &str) -> String {
    let made = person.post("/api/v1/organizations", &json!({"name": name}));
    let entered = json!({"organization_id": made.expect(201).json()["id"]});
    person.send("PUT", "/api/v1/me/organization", &[], Some(&entered)).expect(200);
    made.header("location").to_owned()
}

fn signs_in() {
    let (person, answer) = signed_in("ada");
    let set = answer.headers.iter().find(|(_, value)| value.starts_with("__Host-session=")).unwrap();
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.1.contains(attribute), "{set:?}");
    }
    let me = person.get("/api/v1/me").expect(200).json();
    assert_eq!((&me["kind"], &me["email"]), (&json!("person"), &json!(email("ada"))));
    let id = me["session_id"].as_str().unwrap();
    let row = sql(&format!(
        "SELECT address || ' ' || result FROM audit_events WHERE action = 'session.sign-in' AND resource_id = '{id}'"
    ));
    assert_eq!(row, format!("{} success", caller::address()));

    found(&person, "Ada's");
    let cookie = &answer.cookie("__Host-session");
    let elsewhere = Caller::in_browser(cookie, "https://evil.example");
    problem(&elsewhere.post("/api/v1/organizations", &json!({"name": "Eve's"})), 403, "cross-site");
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

fn invites() {
    let (ada, _) = signed_in("ada");
    let organization = found(&ada, "Lovelace");
    let whom = json!({"email": email("grace"), "role": "member"});
    let invited = ada.post(&format!("{organization}/invitations"), &whom);
    assert_eq!(invited.expect(201).json()["mailed"], true, "{invited:?}");
    let letter = eventually("the invitation is mailed", 30, || mail::received_for(&email("grace")));
    assert_eq!(letter.from, "MAIL FROM:<no-reply@example.test>");
    assert!(letter.text.contains("From: Shop <no-reply@example.test>"), "{}", letter.text);
    let site = caller::url("");
    let mut paths = letter.text.lines().filter_map(|line| line.strip_prefix(&site));
    let path = paths.next().unwrap_or_else(|| panic!("no link: {}", letter.text));

    let (grace, _) = signed_in("grace");
    assert!(grace.get(path).expect(200).body.contains("Join Lovelace"));
    let secret = path.rsplit('/').next().unwrap();
    let joined = grace.post("/api/v1/memberships", &json!({"invitation": secret}));
    assert_eq!(joined.expect(201).json()["role"], "member", "{joined:?}");
    grace.get(&organization).expect(200);
}

/// How it ends when a host connects to a port of the world's server.
fn connection(host: &str, port: u16) -> String {
    let script = format!("timeout 1 bash -c ': < /dev/tcp/{}/{port}'; echo $?", *OUTSIDE);
    PLATFORM.on(host, &script).trim().to_owned()
}

fn way_of_mail() {
    let _ = OUTSIDE.as_str();
    assert_eq!(connection("app", mail::PORT), "0");
    assert_eq!(connection("app", 587), DROPPED);
    assert_eq!(connection("db", mail::PORT), DROPPED);
}

fn delivered() {
    let hook = format!("https://{}/hook", *OUTSIDE);
    let inward = agent().post("/api/v1/webhooks", &json!({"url": "https://10.0.0.30/hook"}));
    problem(&inward, 422, "validation-failed");
    let made = agent().post("/api/v1/webhooks", &json!({"url": hook, "events": ["project.created"]}));
    let secret = made.expect(201).json()["secret"].as_str().unwrap().to_owned();
    let project = agent().post("/api/v1/projects", &json!({"name": "Announced"}));
    let id = project.expect(201).json()["id"].clone();
    let came = eventually("the webhook is delivered", 30, || came("/hook", "Announced"));
    let event: Value = serde_json::from_str(&came.body).unwrap();
    assert_eq!((&event["type"], &event["data"]["id"]), (&json!("project.created"), &id));
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let [id, at] = ["webhook-id", "webhook-timestamp"].map(|name| came.header(name));
    let signed = format!("{id}.{at}.{}", came.body);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    assert_eq!(came.header("webhook-signature"), format!("v1,{}", STANDARD.encode(tag)));
}

fn reported() {
    let _ = (OUTSIDE.as_str(), agent());
    let mark = uuid();
    sql("ALTER TABLE projects RENAME TO projects_away");
    let answer = agent().post(&format!("/api/v1/projects?mark={mark}"), &json!({"name": mark}));
    sql("ALTER TABLE projects_away RENAME TO projects");
    problem(&answer, 500, "internal");
    let id = answer.header("x-request-id");
    let came = eventually("the error is reported", 30, || came("/api/1/envelope/", id));
    assert!(came.header("x-sentry-auth").contains(&format!("sentry_key={TRACKER_KEY}")), "{came:?}");
    // The last line of an envelope with one item.
    let report: Value =
        came.body.lines().next_back().and_then(|line| serde_json::from_str(line).ok()).unwrap();
    let tags = &report["tags"];
    assert_eq!((&tags["request_id"], &tags["route"]), (&json!(id), &json!("/api/v1/projects")), "{report}");
    assert!(report["extra"]["error"].as_str().unwrap().contains("projects"), "{report}");
    for secret in [&*mark, "bst_"] {
        assert!(!came.body.contains(secret), "{secret}: {came:?}");
    }
}

fn forgotten() {
    let _ = OUTSIDE.as_str();
    PLATFORM.run(&["apply"]).expect(0);
    PLATFORM.on("app", "cd /etc/bastide/app && ! test -e mail.password");
    PLATFORM.on("app", &format!("! grep -rqF '{CLIENT_SECRET}' /etc/bastide/app"));
    assert_eq!(connection("app", mail::PORT), DROPPED);
    let environment = environment();
    for name in ["SMTP_", "SENTRY_"] {
        assert!(!environment.contains(name), "{environment:?}");
    }
    // Where the platform file names no issuer, people sign in at the platform's own.
    let answer = Caller::nobody().get("/sign-in");
    let issuer = format!("https://id.{}.test/", PLATFORM.name);
    assert!(answer.expect(303).header("location").starts_with(&issuer), "{answer:?}");
}
