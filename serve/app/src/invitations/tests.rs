//! Invitations: by link and by mail, once, and never above what the inviter may.

use std::collections::HashMap;

use axum::http::Method;
use foundation::testing::servers::{PASSWORD, Servers};
use foundation::testing::smtp::{MailServer, Way};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Caller, Stage};
use crate::support::application::Answer;
use crate::support::seed::{self, ALL_SCOPES};

fn invitations(stage: &Stage) -> String {
    format!("/api/v1/organizations/{}/invitations", stage.organization)
}

async fn invite(caller: &Caller<'_>, stage: &Stage, role: &str) -> Answer {
    caller.post(&invitations(stage), &json!({"email": "eve@example.test", "role": role})).await
}

async fn secret(caller: &Caller<'_>, stage: &Stage, role: &str) -> String {
    let invited = invite(caller, stage, role).await;
    assert_eq!(invited.status, 201, "{}", invited.text);
    invited.json()["secret"].as_str().unwrap().to_owned()
}

async fn accept(caller: &Caller<'_>, secret: &str) -> Answer {
    caller.post("/api/v1/memberships", &json!({"invitation": secret})).await
}

fn said(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

/// Whether the database has this text anywhere: as text, or as the bytes of it.
fn database_has(servers: &Servers, text: &str) -> bool {
    let tables = servers.sql(
        "SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
        "app",
    );
    let bytes: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    tables.split(' ').any(|table| {
        let rows = servers.sql(&format!("SELECT to_jsonb(t) FROM {table} t"), "app");
        rows.contains(text) || rows.contains(&bytes)
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_link_makes_one_person_a_member_once() {
    let stage = Stage::new().await;
    let admin = stage.person("ada", "admin").await;
    let invited = invite(&admin, &stage, "member").await;
    assert_eq!(invited.status, 201, "{}", invited.text);
    let body = invited.json();
    let secret = body["secret"].as_str().unwrap();
    assert_eq!(body["link"], format!("https://app.example.test/invitations/{secret}"));
    assert_eq!((&body["mailed"], &body["invitation"]["state"]), (&json!(false), &json!("open")));
    assert_eq!(stage.count("jobs WHERE kind = 'invitation.mail'"), "0", "no mail server, no mail");
    assert!(!database_has(&stage.servers, secret), "only its hash is kept");
    let shown = admin.get(invited.header("location")).await;
    assert_eq!(shown.json(), body["invitation"]);

    let eve = stage.somebody("eve").await;
    assert_eq!(eve.get("/api/v1/projects").await.status, 403);
    let accepted = accept(&eve, secret).await;
    assert_eq!(accepted.status, 201, "{}", accepted.text);
    assert_eq!(
        (&accepted.json()["role"], &accepted.json()["organization"]["name"]),
        (&json!("member"), &json!("first"))
    );
    assert_eq!(eve.get(accepted.header("location")).await.json()["role"], "member", "and works there now");
    assert_eq!(eve.post("/api/v1/projects", &json!({"name": "Garden"})).await.status, 201);

    let again = accept(&eve, secret).await;
    assert_eq!((again.status.as_u16(), &again.json()["role"]), (200, &json!("member")));
    assert_eq!(
        said(&accept(&stage.somebody("mal").await, secret).await),
        (410, "invitation-used".to_owned())
    );
    let shown = admin.get(invited.header("location")).await.json();
    assert_eq!((&shown["state"], &shown["accepted_by"]), (&json!("accepted"), &json!(eve.id)));
    assert_eq!(
        said(&admin.delete(invited.header("location"), "*").await),
        (410, "invitation-used".to_owned())
    );
    let actions = stage.servers.sql(
        "SELECT string_agg(action, ' ' ORDER BY occurred_at, action) FROM audit_events \
         WHERE action !~ 'project|request'",
        "app",
    );
    assert_eq!(actions, "invitation.create invitation.accept member.create");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn of_many_at_once_one_is_let_in() {
    let stage = Stage::new().await;
    let admin = stage.person("ada", "admin").await;
    let secret = secret(&admin, &stage, "viewer").await;
    let mut people = Vec::new();
    for number in 0..12 {
        people.push(stage.somebody(&format!("person {number}")).await);
    }
    let mut statuses: HashMap<(u16, String), u32> = HashMap::new();
    let (first, second, third) = (&people[0..4], &people[4..8], &people[8..12]);
    let all = async |people: &[Caller<'_>]| {
        let (a, b, c, d) = tokio::join!(
            accept(&people[0], &secret),
            accept(&people[1], &secret),
            accept(&people[2], &secret),
            accept(&people[3], &secret),
        );
        [a, b, c, d]
    };
    let (a, b, c) = tokio::join!(all(first), all(second), all(third));
    for answer in a.iter().chain(&b).chain(&c) {
        *statuses.entry(said(answer)).or_default() += 1;
    }
    assert_eq!(
        statuses,
        HashMap::from([((201, String::new()), 1), ((410, "invitation-used".to_owned()), 11)])
    );
    assert_eq!(stage.count("memberships WHERE role = 'viewer'"), "1");

    // And one person with two invitations at once is one member.
    let eve = stage.somebody("eve").await;
    let (one, other) =
        (self::secret(&admin, &stage, "viewer").await, self::secret(&admin, &stage, "member").await);
    let (a, b) = tokio::join!(accept(&eve, &one), accept(&eve, &other));
    let mut answers = [a.status.as_u16(), b.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [200, 201], "{} {}", a.text, b.text);
    assert_eq!(stage.count("invitations WHERE accepted_at IS NULL"), "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn expired_revoked_and_unknown_ones_open_nothing() {
    let stage = Stage::new().await;
    let (admin, eve) = (stage.person("ada", "admin").await, stage.somebody("eve").await);
    let expired = secret(&admin, &stage, "viewer").await;
    stage.servers.sql("UPDATE invitations SET expires_at = now()", "app");
    assert_eq!(said(&accept(&eve, &expired).await), (410, "invitation-expired".to_owned()));

    let invited = invite(&admin, &stage, "viewer").await;
    let (path, revoked) =
        (invited.header("location").to_owned(), invited.json()["secret"].as_str().unwrap().to_owned());
    assert_eq!(admin.delete(&path, "*").await.status, 204);
    assert_eq!(said(&accept(&eve, &revoked).await), (410, "invitation-revoked".to_owned()));
    assert_eq!(said(&admin.delete(&path, "*").await), (410, "invitation-revoked".to_owned()));

    for unknown in ["", "bstinv_x", &format!("{revoked}A"), &revoked.to_uppercase(), &"x".repeat(10_000)] {
        assert_eq!(said(&accept(&eve, unknown).await), (404, "not-found".to_owned()));
    }
    assert_eq!(eve.post("/api/v1/memberships", &json!({"invitation": 7})).await.status, 422);
    let states = |state: &'static str| {
        let path = format!("{}?state={state}", invitations(&stage));
        let admin = &admin;
        async move { admin.get(&path).await.json()["items"].as_array().unwrap().len() }
    };
    assert_eq!((states("expired").await, states("revoked").await, states("open").await), (1, 1, 0));

    // An organization that was deleted lets nobody in.
    let open = secret(&admin, &stage, "viewer").await;
    stage.servers.sql("UPDATE organizations SET deleted_at = now()", "app");
    assert_eq!(said(&accept(&eve, &open).await), (404, "not-found".to_owned()));
    assert_eq!(stage.count(&format!("memberships WHERE person_id = '{}'", eve.id)), "0");
    assert_eq!(said(&accept(&stage.agent(ALL_SCOPES), &open).await).0, 401, "its tokens neither");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn nobody_invites_above_their_own_role() {
    let stage = Stage::new().await;
    let (owner, admin) = (stage.person("ada", "owner").await, stage.person("bob", "admin").await);
    let too_high = (403, "role-too-high".to_owned());
    let refused = invite(&admin, &stage, "owner").await;
    assert_eq!(said(&refused), too_high);
    assert_eq!(refused.json()["errors"][0]["pointer"], "/role");
    assert_eq!(
        said(&invite(&stage.person("cyd", "member").await, &stage, "viewer").await).1,
        "insufficient-scope"
    );
    let (all, narrow) = (stage.agent(ALL_SCOPES), stage.agent(&["members:write", "members:read"]));
    assert_eq!(said(&invite(&all, &stage, "admin").await), too_high);
    assert_eq!(said(&invite(&narrow, &stage, "member").await), too_high);
    assert_eq!(said(&invite(&narrow, &stage, "viewer").await), too_high, "a viewer reads tasks");
    assert_eq!(invite(&all, &stage, "member").await.status, 201);
    let restricted =
        seed::token_within(&stage.servers, stage.organization, ALL_SCOPES, Some(&[stage.organization]));
    assert_eq!(said(&invite(&stage.caller(restricted), &stage, "viewer").await), too_high);
    assert_eq!(said(&accept(&all, "x").await), (403, "people-only".to_owned()));
    let of_owner = invite(&owner, &stage, "owner").await;
    assert_eq!(of_owner.status, 201);
    assert_eq!(said(&admin.delete(of_owner.header("location"), "*").await), too_high);
    assert_eq!(stage.count("invitations"), "2");

    // Somebody who is a member stays what they are, and the link stays open for whom it was meant.
    let unchanged = accept(&admin, of_owner.json()["secret"].as_str().unwrap()).await;
    assert_eq!((unchanged.status.as_u16(), &unchanged.json()["role"]), (200, &json!("admin")));
    assert_eq!(owner.get(of_owner.header("location")).await.json()["state"], "open");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_somebody_may_not_give_any_more_their_links_do_not_give() {
    let stage = Stage::new().await;
    let (owner, admin) = (stage.person("ada", "owner").await, stage.person("bob", "admin").await);
    let (kept, removed) = (secret(&owner, &stage, "admin").await, secret(&admin, &stage, "admin").await);
    let path = format!("/api/v1/organizations/{}/members/{}", stage.organization, admin.id);
    assert_eq!(owner.patch(&path, "*", &json!({"role": "member"})).await.status, 200);
    let eve = stage.somebody("eve").await;
    assert_eq!(said(&accept(&eve, &removed).await), (410, "invitation-revoked".to_owned()));
    assert_eq!(accept(&eve, &kept).await.status, 201);
    // Who steps down from owner may still invite administrators.
    let (second, third) = (stage.person("cyd", "owner").await, stage.somebody("dan").await);
    let (as_owner, as_admin) =
        (secret(&second, &stage, "owner").await, secret(&second, &stage, "admin").await);
    let path = format!("/api/v1/organizations/{}/members/{}", stage.organization, second.id);
    assert_eq!(second.patch(&path, "*", &json!({"role": "admin"})).await.status, 200);
    assert_eq!(said(&accept(&third, &as_owner).await), (410, "invitation-revoked".to_owned()));
    assert_eq!(accept(&third, &as_admin).await.status, 201);
    // Who leaves leaves nothing open behind, and no agent that is deleted does.
    let open = secret(&second, &stage, "viewer").await;
    assert_eq!(second.delete(&path, "*").await.status, 204);
    let agent = stage.agent(ALL_SCOPES);
    let of_agent = secret(&agent, &stage, "viewer").await;
    let id = agent.get("/api/v1/me").await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(owner.delete(&format!("/api/v1/agents/{id}"), "*").await.status, 204);
    let mal = stage.somebody("mal").await;
    for link in [open, of_agent] {
        assert_eq!(said(&accept(&mal, &link).await), (410, "invitation-revoked".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn addresses_are_addresses_and_there_are_only_so_many_a_day() {
    let stage = Stage::new().await;
    let admin = stage.person("ada", "admin").await;
    for bad in [
        "",
        "eve",
        "eve@localhost",
        "eve@example.test\r\nBcc: mal@example.test",
        "eve@example.test,mal@example.test",
    ] {
        let refused = admin.post(&invitations(&stage), &json!({"email": bad, "role": "viewer"})).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["errors"][0]["pointer"].as_str()),
            (422, Some("/email")),
            "{bad:?}"
        );
    }
    stage.servers.sql(
        &format!(
            "INSERT INTO invitations (id, organization_id, email, role, hash, created_at, created_by, expires_at) \
             SELECT gen_random_uuid(), '{}', 'a@b.test', 'viewer', sha256(n::text::bytea), now(), gen_random_uuid(), now() \
             FROM generate_series(1, 100) n",
            stage.organization
        ),
        "app",
    );
    assert_eq!(said(&invite(&admin, &stage, "viewer").await), (409, "quota-reached".to_owned()));
    stage.servers.sql("UPDATE invitations SET created_at = now() - interval '25 hours'", "app");
    assert_eq!(invite(&admin, &stage, "viewer").await.status, 201);
}

/// A stage that sends its mail to a server of its own.
async fn with_mail(way: Way, authority: &str) -> (Stage, MailServer) {
    let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
    let servers = Servers::start();
    let mail = MailServer::start(&servers, way).await;
    let url = match way {
        Way::Wrapped => format!("smtps://app@localhost:{}", mail.port),
        Way::StartTls => format!("smtp://app@127.0.0.1:{}?tls=required", mail.port),
    };
    assert_eq!(PASSWORD, "correct-horse-battery-staple", "the mail server knows it by heart");
    let file = |name: &str| servers.path(name).display().to_string();
    let more = [
        ("SMTP_URL", url),
        ("SMTP_PASSWORD_FILE", file("password")),
        ("MAIL_FROM", "Bastide <no-reply@example.test>".to_owned()),
        ("EXTRA_CA_FILE", file(authority)),
    ];
    (Stage::on(servers, &more).await, mail)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_link_is_sent_by_mail_and_again_where_the_server_was_busy() {
    let (stage, mail) = with_mail(Way::Wrapped, "ca.pem").await;
    let admin = stage.person("ada", "admin").await;
    // A name as it could only get in past the application.
    stage.servers.sql("UPDATE organizations SET name = E'Gärten\\r\\nBcc: mal@example.test'", "app");
    mail.refuse_next("451 4.3.0 busy");
    let invited = invite(&admin, &stage, "viewer").await.json();
    assert_eq!(invited["mailed"], true);
    let (secret, link) = (invited["secret"].as_str().unwrap(), invited["link"].as_str().unwrap());
    assert!(!database_has(&stage.servers, secret), "not in the job either");

    let received = mail.wait_for(1).await.remove(0);
    assert_eq!(
        received.from,
        "MAIL FROM:<no-reply@example.test> BODY=8BITMIME".replace(" BODY=8BITMIME", "")
    );
    assert_eq!(received.to, "RCPT TO:<eve@example.test>");
    let (head, body) = received.data.split_once("\n\n").unwrap();
    for header in [
        "From: Bastide <no-reply@example.test>",
        "To: eve@example.test",
        "Auto-Submitted: auto-generated",
        "Subject: Invitation to ",
        "Date: ",
        "Message-ID: <",
    ] {
        assert!(head.lines().any(|line| line.starts_with(header)), "{header}: {head}");
    }
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    let text = quoted_printable(body);
    assert!(text.contains("Content-Type: text/plain") && text.contains("Content-Type: text/html"), "{text}");
    assert!(text.contains("ada invites you to join Gärten"), "{text}");
    assert_eq!(text.matches(link).count(), 2, "in both forms: {text}");
    assert_eq!(mail.early(), Vec::<String>::new());

    let job = "SELECT attempts, finished_at IS NOT NULL, last_error FROM jobs WHERE kind = 'invitation.mail'";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while !stage.servers.sql(job, "app").starts_with("2|t|") {
        assert!(tokio::time::Instant::now() < deadline, "{}", stage.servers.sql(job, "app"));
    }
    assert!(stage.servers.sql(job, "app").contains("busy"));
    assert_eq!(mail.received().len(), 1);
    let log: Vec<Value> = stage.application.log();
    assert!(!log.iter().any(|line| line.to_string().contains(secret)));
    assert_eq!(accept(&stage.somebody("eve").await, secret).await.status, 201);
}

/// As a mail program shows it: lines put together again, and bytes for their codes.
fn quoted_printable(text: &str) -> String {
    let joined = text.replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_str();
    while let Some(at) = rest.find('=') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                bytes.push(b'=');
                rest = &rest[at + 1..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn mail_is_never_sent_in_the_clear_nor_again_where_it_was_refused_for_good() {
    let (stage, mail) = with_mail(Way::StartTls, "ca.pem").await;
    let admin = stage.person("ada", "admin").await;
    invite(&admin, &stage, "viewer").await;
    mail.wait_for(1).await;
    assert_eq!(mail.early(), Vec::<String>::new(), "everything waits for TLS and the login");

    mail.refuse_next("550 5.7.1 you are not to send that");
    invite(&admin, &stage, "viewer").await;
    let dead =
        "SELECT last_error FROM jobs WHERE kind = 'invitation.mail' AND dead_at IS NOT NULL AND attempts = 1";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while !stage.servers.sql(dead, "app").contains("not to send that") {
        assert!(tokio::time::Instant::now() < deadline, "the job is given up at once");
    }
    // One that was taken back is not sent any more.
    mail.refuse_next("451 4.3.0 busy");
    let revoked = invite(&admin, &stage, "viewer").await;
    assert_eq!(admin.delete(revoked.header("location"), "*").await.status, 204);
    let finished = "jobs WHERE kind = 'invitation.mail' AND finished_at IS NOT NULL";
    while stage.count(finished) != "2" {
        assert!(tokio::time::Instant::now() < deadline, "the job of a revoked invitation ends");
    }
    assert_eq!(mail.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn an_address_that_takes_no_mail_is_the_inviter_s_to_know_and_not_the_operator_s() {
    let (stage, mail) = with_mail(Way::Wrapped, "ca.pem").await;
    let admin = stage.person("ada", "admin").await;
    mail.refuse_next("550 5.1.1 no such mailbox");
    let invited = invite(&admin, &stage, "viewer").await;
    assert_eq!(invited.json()["invitation"]["undeliverable_at"], Value::Null);
    let ended = "SELECT attempts, dead_at IS NULL FROM jobs \
                 WHERE kind = 'invitation.mail' AND (finished_at IS NOT NULL OR dead_at IS NOT NULL)";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while stage.servers.sql(ended, "app").is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "the job ends");
    }
    assert_eq!(stage.servers.sql(ended, "app"), "1|t", "at once, and for nobody to look after");

    let shown = admin.get(invited.header("location")).await.json();
    assert_eq!(shown["state"], "open", "whoever has the link is welcome");
    assert!(shown["undeliverable_at"].is_string(), "{shown}");
    let page = admin.get("/members/invitations").await;
    assert!(page.text.contains("the address takes no mail"), "{}", page.text);
    let noted = "SELECT actor_kind, result, resource_id FROM audit_events WHERE action = 'invitation.mail'";
    assert_eq!(stage.servers.sql(noted, "app"), format!("system|failed|{}", shown["id"].as_str().unwrap()));
    assert_eq!(
        accept(&stage.somebody("eve").await, invited.json()["secret"].as_str().unwrap()).await.status,
        201
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_mail_server_that_cannot_prove_its_name_gets_nothing() {
    for way in [Way::Wrapped, Way::StartTls] {
        let (stage, mail) = with_mail(way, "other-ca.pem").await;
        invite(&stage.person("ada", "admin").await, &stage, "viewer").await;
        let error = "SELECT last_error FROM jobs WHERE kind = 'invitation.mail'";
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        while !stage.servers.sql(error, "app").contains("certificate") {
            assert!(tokio::time::Instant::now() < deadline, "{}", stage.servers.sql(error, "app"));
        }
        assert!(mail.received().is_empty() && mail.early().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn the_same_key_gives_the_same_link() {
    let stage = Stage::new().await;
    let admin = stage.person("ada", "admin").await;
    let body = json!({"email": "eve@example.test", "role": "viewer"});
    let key = [("idempotency-key", "\"invite-eve\"")];
    let first = admin.send(Method::POST, &invitations(&stage), &key, Some(&body)).await;
    let again = admin.send(Method::POST, &invitations(&stage), &key, Some(&body)).await;
    assert_eq!((first.status.as_u16(), &first.text), (201, &again.text));
    assert_eq!((again.header("idempotency-replayed"), stage.count("invitations").as_str()), ("true", "1"));

    assert!(
        !database_has(&stage.servers, first.json()["secret"].as_str().unwrap()),
        "the kept answer is sealed"
    );
    assert!(database_has(&stage.servers, "eve@example.test"), "and what is not secret would be found");
    assert_eq!(first.header("cache-control"), "no-store");

    let eve = stage.somebody("eve").await;
    let acceptance = json!({"invitation": first.json()["secret"]});
    let key = [("idempotency-key", "\"accept\"")];
    let accepted = eve.send(Method::POST, "/api/v1/memberships", &key, Some(&acceptance)).await;
    let again = eve.send(Method::POST, "/api/v1/memberships", &key, Some(&acceptance)).await;
    assert_eq!((accepted.status.as_u16(), &accepted.text), (201, &again.text));
    let id: Uuid = first.json()["invitation"]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(stage.count(&format!("invitations WHERE id = '{id}' AND accepted_by = '{}'", eve.id)), "1");
}
