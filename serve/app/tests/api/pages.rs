//! Pages as a browser asks for them, without a browser: what they say, what their forms do, and what keeps others out.

use axum::http::Method;
use serde_json::json;
use url::form_urlencoded;
use uuid::Uuid;

use crate::stage::Stage;
use crate::support::application::Answer;
use crate::support::browser::Browser;
use crate::support::seed;

const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";
/// What somebody types who wants to be more than a reader.
const INJECTION: &str = r#""'><script>alert(1)</script><b title='"#;

/// Somebody who reads pages and sends their forms.
struct Reader<'a> {
    browser: Browser<'a>,
}

impl<'a> Reader<'a> {
    /// A person with this role in the organization.
    async fn new(stage: &'a Stage, name: &str, role: &str) -> Self {
        let person = seed::person(&stage.servers, stage.organization, name, role);
        Self::at_work(stage, person, Some(stage.organization)).await
    }

    async fn at_work(stage: &'a Stage, person: Uuid, organization: Option<Uuid>) -> Self {
        let mut browser = stage.browser();
        let cookie = seed::session(&stage.servers, person, organization).await;
        let (name, value) = cookie.split_once('=').unwrap();
        browser.plant(name, value);
        Self { browser }
    }

    async fn open(&mut self, path: &str) -> Answer {
        self.browser.send(Method::GET, path, &[("accept", HTML)], "").await
    }

    /// Sends the form of this page that leads there, filled in with these fields.
    async fn submit(&mut self, page: &Answer, action: &str, fields: &[(&str, &str)]) -> Answer {
        self.post(action, &filled(page, action, fields)).await
    }

    async fn post(&mut self, path: &str, form: &str) -> Answer {
        let headers = [
            ("accept", HTML),
            ("origin", "https://app.example.test"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.browser.send(Method::POST, path, &headers, form).await
    }
}

/// The form of a page that leads there: its hidden fields and these.
fn filled(page: &Answer, action: &str, fields: &[(&str, &str)]) -> String {
    let begin = format!("action=\"{action}\"");
    let form = page.text.split("<form").find(|form| form.contains(&begin));
    let form = form.unwrap_or_else(|| panic!("no form to {action}: {}", page.text));
    let form = form.split("</form>").next().unwrap();
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let hidden = form.split("<input").filter(|tag| tag.starts_with(" type=\"hidden\""));
    let mut body = form_urlencoded::Serializer::new(String::new());
    for tag in hidden {
        body.append_pair(&attribute(tag, "name").unwrap(), &attribute(tag, "value").unwrap());
    }
    body.extend_pairs(fields).finish()
}

/// What every page must be, whoever sees it.
fn assert_page(path: &str, page: &Answer) {
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}: {}", page.text);
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'"),
        "{path}: {policy}"
    );
    assert!(policy.ends_with("base-uri 'none'; frame-ancestors 'none'"), "{path}: {policy}");
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
    assert_eq!(page.header("cache-control"), "no-store", "{path}");
    assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
    assert!(page.text.starts_with("<!doctype html>"), "{path}");
    for foreign in ["<script", "<style", " style=", " onclick=", "javascript:", "http://"] {
        assert!(!page.text.contains(foreign), "{path} has {foreign}: {}", page.text);
    }
    assert_eq!(page.text.matches("<h1").count(), 1, "{path}: {}", page.text);
    assert_eq!(page.text.matches("<main").count(), 1, "{path}");
    let tokens = page.text.matches("name=\"csrf_token\"").count();
    assert_eq!(page.text.matches("method=\"post\"").count(), tokens, "{path}: a form without its guard");
}

/// One of each thing there is, each with this name.
struct Things {
    project: String,
    task: String,
    agent: String,
    token: String,
    webhook: String,
    delivery: String,
    invitation: String,
    link: String,
}

async fn things(stage: &Stage, name: &str) -> Things {
    let owner = stage.person(&format!("maker {}", seed::id()), "owner").await;
    let id = |answer: Answer| {
        assert!(answer.status.is_success(), "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let organization = stage.organization;
    let project = id(owner.post("/api/v1/projects", &json!({"name": name, "description": name})).await);
    let new = json!({"project_id": project, "title": name, "description": name});
    let task = id(owner.post("/api/v1/tasks", &new).await);
    let agent = id(owner.post("/api/v1/agents", &json!({"name": name, "description": name})).await);
    let new = json!({"name": name, "scopes": ["tasks:read"], "resources": [project], "addresses": ["192.0.2.0/24"]});
    let token = id(owner.post(&format!("/api/v1/agents/{agent}/tokens"), &new).await);
    let new = json!({"url": "https://hooks.example.com/?'<b>", "description": name, "events": ["webhook.disabled"]});
    let webhook = id(owner.post("/api/v1/webhooks", &new).await);
    let delivery = id(owner.post(&format!("/api/v1/webhooks/{webhook}/tests"), &json!({})).await);
    let new = json!({"email": "grace@example.test", "role": "viewer"});
    let invited = owner.post(&format!("/api/v1/organizations/{organization}/invitations"), &new).await.json();
    let link = invited["link"].as_str().unwrap().strip_prefix("https://app.example.test").unwrap().to_owned();
    let invitation = invited["invitation"]["id"].as_str().unwrap().to_owned();
    Things { project, task, agent, token, webhook, delivery, invitation, link }
}

impl Things {
    /// Every page, and the least role that sees it.
    fn pages(&self) -> Vec<(String, &'static str)> {
        let Self { project, task, agent, token, webhook, delivery, link, .. } = self;
        let plain = [
            ("/", "viewer"),
            ("/projects", "viewer"),
            ("/projects?deleted=true", "viewer"),
            ("/projects/new", "member"),
            ("/tasks", "viewer"),
            ("/tasks?state=open&project_id=&deleted=", "viewer"),
            ("/tasks/new", "member"),
            ("/members", "viewer"),
            ("/members/invitations", "viewer"),
            ("/members/invitations/new", "admin"),
            ("/agents", "member"),
            ("/agents/new", "admin"),
            ("/webhooks", "admin"),
            ("/webhooks/new", "admin"),
            ("/audit", "admin"),
            ("/audit?from=2026-01-01&to=&action=task.create&actor_kind=", "admin"),
            ("/audit/verification", "admin"),
            ("/settings", "viewer"),
            ("/organizations", "viewer"),
            ("/sessions", "viewer"),
        ];
        let named = [
            (format!("/projects/{project}"), "viewer"),
            (format!("/projects/{project}/edit"), "member"),
            (format!("/tasks/new?project_id={project}"), "member"),
            (format!("/tasks/{task}"), "viewer"),
            (format!("/tasks/{task}/edit"), "member"),
            (format!("/agents/{agent}"), "member"),
            (format!("/agents/{agent}/edit"), "admin"),
            (format!("/agents/{agent}/tokens/new"), "admin"),
            (format!("/tokens/{token}"), "admin"),
            (format!("/webhooks/{webhook}"), "admin"),
            (format!("/webhooks/{webhook}/edit"), "admin"),
            (format!("/deliveries/{delivery}"), "admin"),
            (link.clone(), "viewer"),
        ];
        plain.into_iter().map(|(path, role)| (path.to_owned(), role)).chain(named).collect()
    }

    /// Every form that changes one of them.
    fn forms(&self) -> Vec<String> {
        let Self { project, task, agent, token, webhook, delivery, invitation, .. } = self;
        let of = |kind: &str, id: &str, ends: &[&str]| {
            ends.iter().map(|end| format!("/{kind}/{id}{end}")).collect::<Vec<_>>()
        };
        [
            of("projects", project, &["", "/delete", "/restore"]),
            of("tasks", task, &["", "/state", "/delete", "/restore"]),
            of("agents", agent, &["", "/delete", "/tokens"]),
            of("tokens", token, &["/rotate", "/revoke"]),
            of("webhooks", webhook, &["", "/delete", "/rotate", "/test"]),
            of("deliveries", delivery, &["/replay"]),
            of("members/invitations", invitation, &["/revoke"]),
        ]
        .concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn every_page_is_shown_to_whom_it_may_be() {
    let stage = Stage::new().await;
    let things = things(&stage, "Garden").await;
    let ranks = ["viewer", "member", "admin", "owner"];
    for (rank, role) in ranks.iter().enumerate() {
        let mut reader = Reader::new(&stage, role, role).await;
        for (path, least) in things.pages() {
            let page = reader.open(&path).await;
            let may = rank >= ranks.iter().position(|known| *known == least).unwrap();
            assert_eq!(page.status, if may { 200 } else { 403 }, "{role} at {path}: {}", page.text);
            assert_page(&path, &page);
        }
    }
    let mut viewer = Reader::new(&stage, "another viewer", "viewer").await;
    for path in ["/projects", "/tasks", "/members", "/settings"] {
        let page = viewer.open(path).await.text;
        for offered in
            ["New project", "New task", "Invite somebody", "Export everything", "Delete", "/agents"]
        {
            let is_tab =
                offered == "Delete" && page.matches("Delete").count() == page.matches(">Deleted<").count();
            assert!(is_tab || !page.contains(offered), "a viewer is offered {offered} at {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_people_type_is_text_on_every_page() {
    let stage = Stage::new().await;
    let quoted = INJECTION.replace('\'', "''");
    stage.servers.sql(
        &format!("UPDATE organizations SET name = '{quoted}' WHERE id = '{}'", stage.organization),
        "app",
    );
    let things = things(&stage, INJECTION).await;
    stage.servers.sql(&format!("UPDATE people SET name = '{quoted}', email = '{quoted}'"), "app");
    stage.servers.sql(&format!("UPDATE invitations SET email = '{quoted}'"), "app");
    let mut owner = Reader::new(&stage, "owner", "owner").await;
    stage.servers.sql(&format!("UPDATE people SET name = '{quoted}'"), "app");
    let mut seen = 0;
    for (path, _) in things.pages() {
        let page = owner.open(&path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_page(&path, &page);
        assert!(!page.text.contains("<b "), "{path}: {}", page.text);
        seen += page.text.matches("&lt;script&gt;alert(1)").count()
            + page.text.matches("&#60;script&#62;alert(1)").count();
    }
    assert!(seen > 60, "what was typed is shown {seen} times");
    // What comes back with a form that was refused, and what comes with the address.
    let page = owner.open("/projects/new").await;
    let long = format!("{INJECTION}{}", "x".repeat(200));
    let refused = owner.submit(&page, "/projects", &[("name", &long), ("description", INJECTION)]).await;
    assert_eq!(refused.status, 422);
    assert_page("/projects", &refused);
    let encoded: String = form_urlencoded::byte_serialize(INJECTION.as_bytes()).collect();
    for path in
        [format!("/audit?action={encoded}"), format!("/tasks?notice={encoded}"), format!("/{encoded}")]
    {
        assert_page(&path, &owner.open(&path).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_form_that_is_sent_twice_does_what_it_says_once() {
    let stage = Stage::new().await;
    let mut owner = Reader::new(&stage, "ada", "owner").await;
    let page = owner.open("/projects/new").await;
    let form = filled(&page, "/projects", &[("name", "Garden"), ("description", "")]);
    let first = owner.post("/projects", &form).await;
    assert_eq!(first.status, 303, "{}", first.text);
    let again = owner.post("/projects", &form).await;
    assert_eq!((again.status, again.header("location")), (first.status, first.header("location")));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(stage.count("projects"), "1");
    // Another name with the same key is another form.
    let other = owner.post("/projects", &form.replace("Garden", "House")).await;
    assert_eq!(other.status, 422);
    assert!(other.text.contains("sent before with other values"), "{}", other.text);
    // What was refused is refused again, and shown the same.
    let invalid =
        filled(&owner.open("/projects/new").await, "/projects", &[("name", " "), ("description", "")]);
    for _ in 0..2 {
        let refused = owner.post("/projects", &invalid).await;
        assert_eq!(refused.status, 422);
        assert!(
            refused.text.contains("aria-invalid=\"true\" aria-describedby=\"name-fault"),
            "{}",
            refused.text
        );
        assert!(refused.text.contains("id=\"name-fault\">Fill this in."), "{}", refused.text);
    }
    assert_eq!(stage.count("projects"), "1");

    // A secret is shown again only to whoever sends the same form again, and is kept in the clear nowhere.
    let page = owner.open("/agents/new").await;
    let agent = owner.submit(&page, "/agents", &[("name", "bot"), ("description", "")]).await;
    let agent = agent.header("location").split('?').next().unwrap().to_owned();
    let page = owner.open(&format!("{agent}/tokens/new")).await;
    let action = format!("{agent}/tokens");
    let fields = [
        ("name", "t"),
        ("scopes", "tasks:read"),
        ("scopes", "projects:read"),
        ("addresses", ""),
        ("expires_at", ""),
    ];
    let form = filled(&page, &action, &fields);
    let minted = owner.post(&action, &form).await;
    assert_eq!(minted.status, 201, "{}", minted.text);
    assert_page(&action, &minted);
    let secret = secret(&minted);
    assert_eq!(self::secret(&owner.post(&action, &form).await), secret);
    assert_eq!(stage.count("tokens"), "1");
    assert_eq!(stage.caller(secret.clone()).get("/api/v1/tasks").await.status, 200);
    let kept = stage.servers.sql(
        "SELECT coalesce(string_agg(encode(body, 'escape') || headers::text, ''), '') FROM idempotency_keys",
        "app",
    );
    assert!(!kept.contains(&secret), "{kept}");
}

/// What a page shows once.
fn secret(page: &Answer) -> String {
    let (_, rest) = page.text.split_once("id=\"secret\" value=\"").unwrap_or_else(|| panic!("{}", page.text));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn forms_come_from_this_sites_pages_alone() {
    let stage = Stage::new().await;
    let mut owner = Reader::new(&stage, "ada", "owner").await;
    let page = owner.open("/projects/new").await;
    let form = filled(&page, "/projects", &[("name", "Garden"), ("description", "")]);
    let without: Vec<&str> = form.split('&').filter(|pair| !pair.starts_with("csrf_token=")).collect();
    let refused = owner.post("/projects", &without.join("&")).await;
    assert_eq!(refused.status, 403);
    assert_page("/projects", &refused);
    let headers = [
        ("accept", HTML),
        ("origin", "https://evil.example"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let refused = owner.browser.send(Method::POST, "/projects", &headers, &form).await;
    assert_eq!(refused.status, 403);
    assert_page("/projects", &refused);
    // The token is of the session, not of the person.
    let mut other = Reader::new(&stage, "bob", "owner").await;
    assert_eq!(other.post("/projects", &form).await.status, 403);
    assert_eq!(stage.count("projects"), "0");
    assert_eq!(owner.post("/projects", &form).await.status, 303);
    // Without a key nothing is done: pages always send one.
    let keyless: Vec<&str> = form.split('&').filter(|pair| !pair.starts_with("idempotency_key=")).collect();
    assert_eq!(owner.post("/projects", &keyless.join("&")).await.status, 400);
    assert_eq!(stage.count("projects"), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn another_organizations_things_are_not_there() {
    let stage = Stage::new().await;
    let things = things(&stage, "Garden").await;
    let second = seed::organization(&stage.servers, "second");
    let stranger = seed::person(&stage.servers, second, "eve", "owner");
    let mut stranger = Reader::at_work(&stage, stranger, Some(second)).await;
    let before = stage
        .count("audit_events WHERE organization_id <> (SELECT id FROM organizations WHERE name = 'second')");
    for (path, _) in things.pages() {
        // Whoever has the link of an invitation is invited.
        if !path.contains(|each: char| each.is_ascii_digit())
            || path.starts_with("/invitations/")
            || path.contains('?')
        {
            continue;
        }
        let page = stranger.open(&path).await;
        assert_eq!(page.status, 404, "{path}: {}", page.text);
        assert_page(&path, &page);
    }
    let guard = stranger.open("/projects/new").await;
    let fields = [
        ("name", "Mine"),
        ("title", "Mine"),
        ("state", "done"),
        ("version", "1"),
        ("url", "https://hooks.example.com/"),
        ("scopes", "tasks:read"),
        ("overlap_seconds", "0"),
    ];
    for path in things.forms() {
        let wanted: Vec<(&str, &str)> = fields.into_iter().filter(|(name, _)| takes(&path, name)).collect();
        let mut form = filled(&guard, "/projects", &wanted);
        // A key of its own for each.
        form = form.replace("-save", &format!("-{}", seed::id()));
        let answer = stranger.post(&path, &form).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
        assert_page(&path, &answer);
    }
    let after = stage
        .count("audit_events WHERE organization_id <> (SELECT id FROM organizations WHERE name = 'second')");
    assert_eq!(before, after, "nothing happened in the other organization");
}

/// Whether the form at this path has this field.
fn takes(path: &str, field: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (parts[0], *parts.last().unwrap()) {
        (_, "delete") => field == "version",
        (_, "restore" | "revoke" | "test" | "replay") => false,
        (_, "rotate") => field == "overlap_seconds",
        (_, "tokens") => matches!(field, "name" | "scopes"),
        (_, "state") => matches!(field, "state" | "version"),
        ("projects" | "agents", _) => matches!(field, "name" | "version"),
        ("tasks", _) => matches!(field, "title" | "state" | "version"),
        ("webhooks", _) => matches!(field, "url" | "version"),
        _ => panic!("{path}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_is_not_signed_in_is_sent_to_sign_in() {
    let stage = Stage::new().await;
    let mut nobody = Reader { browser: stage.browser() };
    let front = nobody.open("/").await;
    assert_eq!(front.status, 200);
    assert_page("/", &front);
    assert!(front.header("content-security-policy").contains(stage.issuer.name()), "signing out leads there");
    let asked = nobody.open("/tasks?state=open").await;
    assert_eq!(
        (asked.status.as_u16(), asked.header("location")),
        (303, "/sign-in?return_to=%2Ftasks%3Fstate%3Dopen")
    );
    let sent = nobody.post("/projects", "name=Garden&idempotency_key=k").await;
    assert_eq!(sent.status, 401);
    assert_page("/projects", &sent);
    assert!(sent.text.contains("You are signed out"), "{}", sent.text);
    // Programs get what programs read, and so does an agent that strays here.
    let program = nobody.browser.send(Method::GET, "/tasks", &[("accept", "application/json")], "").await;
    assert_eq!((program.status.as_u16(), program.header("content-type")), (401, "application/problem+json"));
    let agent = stage.agent(seed::ALL_SCOPES).get("/projects").await;
    assert_eq!(agent.status, 403, "{}", agent.text);
    for (path, status) in [("/nowhere", 404), ("/tasks/no-id", 404), ("/invitations/bstinv_unknown", 404)] {
        let page = nobody.open(path).await;
        let status = if path == "/tasks/no-id" && page.status == 303 { 303 } else { status };
        assert_eq!(page.status, status, "{path}: {}", page.text);
        if status != 303 {
            assert_page(path, &page);
            assert!(page.text.contains(page.header("x-request-id")), "{path}: {}", page.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn who_comes_too_late_sees_what_changed_and_keeps_what_was_typed() {
    let stage = Stage::new().await;
    let things = things(&stage, "Garden").await;
    let mut owner = Reader::new(&stage, "ada", "owner").await;
    let path = format!("/projects/{}", things.project);
    let page = owner.open(&format!("{path}/edit")).await;
    let agent = stage.agent(seed::ALL_SCOPES);
    let api = format!("/api/v1{path}");
    let tag = agent.get(&api).await.header("etag").to_owned();
    assert_eq!(agent.patch(&api, &tag, &json!({"name": "Park"})).await.status, 200);
    let late = owner.submit(&page, &path, &[("name", "Orchard"), ("description", "Trees")]).await;
    assert_eq!(late.status, 412);
    assert_page(&path, &late);
    for said in ["value=\"Orchard\"", "\nTrees</textarea>", "<q>Park</q>", "aria-describedby=\"name-now\""] {
        assert!(late.text.contains(said), "{said}: {}", late.text);
    }
    let saved = owner.submit(&late, &path, &[("name", "Orchard"), ("description", "Trees")]).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    assert_eq!(agent.get(&api).await.json()["name"], "Orchard");
    // Deleting what is another by now shows it instead.
    let page = owner.open(&path).await;
    let tag = agent.get(&api).await.header("etag").to_owned();
    assert_eq!(agent.patch(&api, &tag, &json!({"name": "Park"})).await.status, 200);
    let late = owner.submit(&page, &format!("{path}/delete"), &[]).await;
    assert_eq!(late.status, 412);
    assert!(late.text.contains("Somebody changed this"), "{}", late.text);
    assert_eq!(agent.get(&api).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_organizations_people_come_and_go_by_pages() {
    let stage = Stage::new().await;
    let mut owner = Reader::new(&stage, "ada", "owner").await;
    let invited = owner.open("/members/invitations/new").await;
    let fields = [("email", "grace@example.test"), ("role", "member")];
    let invited = owner.submit(&invited, "/members/invitations", &fields).await;
    assert_eq!(invited.status, 201, "{}", invited.text);
    let link = secret(&invited).strip_prefix("https://app.example.test").unwrap().to_owned();

    let grace = seed::somebody(&stage.servers, "grace");
    let mut grace = Reader::at_work(&stage, grace, None).await;
    assert!(grace.open("/").await.text.contains("You work in no organization yet"));
    let offer = grace.open(&link).await;
    let joined = grace.submit(&offer, "/memberships", &[]).await;
    assert_eq!(
        (joined.status.as_u16(), joined.header("location")),
        (303, "/?notice=joined"),
        "{}",
        joined.text
    );
    assert!(grace.open("/tasks").await.status == 200);
    let kept = stage.servers.sql("SELECT string_agg(route, ' ') FROM idempotency_keys", "app");
    assert!(!kept.contains("bstinv_"), "{kept}");

    // Up and out again; the last owner stays.
    let members = owner.open("/members").await;
    let person = seed::person_of(&stage.servers, "grace");
    let role = format!("/members/{person}/role");
    let changed = owner.submit(&members, &role, &[("role", "admin")]).await;
    assert_eq!(changed.status, 303, "{}", changed.text);
    let me = seed::person_of(&stage.servers, "ada");
    let members = owner.open("/members").await;
    let stays = owner.submit(&members, &format!("/members/{me}/remove"), &[]).await;
    assert_eq!(stays.status, 409);
    assert!(stays.text.contains("An organization needs an owner"), "{}", stays.text);
    let removed = owner.submit(&members, &format!("/members/{person}/remove"), &[]).await;
    assert_eq!(removed.status, 303, "{}", removed.text);
    assert_eq!(grace.open("/tasks").await.status, 403);

    // An organization of one's own, deleted by its name and restored.
    let page = grace.open("/organizations").await;
    let form = filled(&page, "/organizations", &[("name", "Grace & Co")]);
    let made = grace.post("/organizations", &form).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (303, "/?notice=made"), "{}", made.text);
    assert_eq!(grace.post("/organizations", &form).await.status, 303);
    assert_eq!(stage.count("organizations"), "2");
    let settings = grace.open("/settings").await;
    assert!(
        settings.text.contains("Grace &amp; Co") || settings.text.contains("Grace &#38; Co"),
        "{}",
        settings.text
    );
    let wrong = grace.submit(&settings, "/settings/delete", &[("confirmation", "Grace")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("id=\"confirmation-fault\""), "{}", wrong.text);
    let deleted = grace.submit(&settings, "/settings/delete", &[("confirmation", "Grace & Co")]).await;
    assert_eq!(deleted.status, 422, "the same form with other values: {}", deleted.text);
    let settings = grace.open("/settings").await;
    let deleted = grace.submit(&settings, "/settings/delete", &[("confirmation", "Grace & Co")]).await;
    assert_eq!((deleted.status.as_u16(), deleted.header("location")), (303, "/organizations?notice=deleted"));
    let page = grace.open("/organizations").await;
    let id = stage.servers.sql("SELECT id FROM organizations WHERE deleted_at IS NOT NULL", "app");
    let restored = grace.submit(&page, &format!("/organizations/{id}/restore"), &[]).await;
    assert_eq!(restored.status, 303, "{}", restored.text);
    let page = grace.open("/organizations").await;
    assert_eq!(grace.submit(&page, "/organizations", &[("name", "Another")]).await.status, 303);
    let page = grace.open("/organizations").await;
    let entered = grace.submit(&page, &format!("/organizations/{id}/enter"), &[]).await;
    assert_eq!((entered.status.as_u16(), entered.header("location")), (303, "/"), "{}", entered.text);
    assert_eq!(grace.open("/settings").await.status, 200);

    // Sessions end one by one and all at once.
    let page = grace.open("/sessions").await;
    let gone = grace.submit(&page, "/sessions/revoke", &[]).await;
    assert_eq!((gone.status.as_u16(), gone.header("location")), (303, "/"), "{}", gone.text);
    assert_eq!(grace.open("/tasks").await.status, 303);
}
