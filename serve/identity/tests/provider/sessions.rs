use std::time::{Duration, Instant};

use axum::http::Method;
use url::Url;
use uuid::Uuid;

use crate::scene::{FORM, Person, Scene, error, good, redemption, returned};
use crate::support::stage::ISSUER;

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_and_ends_sessions() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(), scene.person());
    let second = scene.sign_in(ada.account);
    let run = |arguments: &[&str]| {
        let output = scene.stage.issuer.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, listed, _) = run(&["sessions", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((code, listed["sessions"].as_array().unwrap().len()), (0, 3));
    let (_, listed, _) = run(&["sessions", "list", "--", &format!("ADA-{}@example.test", ada.account)]);
    assert_eq!(listed.lines().count(), 2);
    assert!(listed.contains(&ada.session.to_string()) && !listed.contains(&bob.session.to_string()));
    let (code, _, said) = run(&["sessions", "list", "nobody@example.test"]);
    assert_eq!(code, 1);
    assert!(said.contains("there is no account"), "{said}");

    let tokens = scene.tokens(&second, &[]).await;
    let (code, said, _) = run(&["sessions", "end", "--", &second.session.to_string()]);
    assert_eq!((code, said), (0, format!("ended {}\n", second.session)));
    assert_eq!(scene.userinfo(tokens["access_token"].as_str().unwrap()).await.status, 401);
    let silent = good(&[("prompt", "none")]);
    assert_eq!(returned(&scene.authorize(Some(&second), &silent).await, "error"), "login_required");
    assert_eq!(returned(&scene.authorize(Some(&ada), &silent).await, "error"), "", "the other goes on");
    let told = scene.sql("SELECT payload->>'client_id' FROM errands WHERE kind = 'back_channel_logout'");
    assert_eq!(told, "app");
    assert_eq!(run(&["sessions", "end", &second.session.to_string()]).0, 1, "it has ended");
    assert_eq!(run(&["sessions", "end", "--all-of", &ada.account.to_string()]).0, 0);
    assert_eq!(scene.stage.count("browser_sessions"), "1");
    assert_eq!(run(&["sessions", "end"]).0, 2);
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_used_goes_on_and_not_for_ever() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let silent = good(&[("prompt", "none")]);
    let ends = "SELECT expires_at - authenticated_at > interval '11 h' FROM browser_sessions";
    assert_eq!(returned(&scene.authorize(Some(&ada), &silent).await, "error"), "");
    assert_eq!(scene.sql(ends), "f", "that it is used is written once a minute");
    scene.sql("UPDATE browser_sessions SET last_seen_at = now() - interval '2 min'");
    assert_eq!(returned(&scene.authorize(Some(&ada), &silent).await, "error"), "");
    assert_eq!(scene.sql(ends), "t");
    scene.sql(
        "UPDATE browser_sessions SET last_seen_at = now() - interval '2 min', \
         authenticated_at = now() - interval '7 days' + interval '1 min'",
    );
    assert_eq!(returned(&scene.authorize(Some(&ada), &silent).await, "error"), "");
    assert_eq!(scene.sql("SELECT expires_at < now() + interval '1 min' FROM browser_sessions"), "t");
    // Whoever plants a second cookie gets nothing by either.
    let two = crate::scene::Person { cookie: format!("{}; {}", ada.cookie, scene.person().cookie), ..ada };
    assert_eq!(returned(&scene.authorize(Some(&two), &silent).await, "error"), "login_required");
}

/// Lets somebody in by an operator's link, in a browser with this cookie; the value of the session's cookie.
async fn let_in(scene: &Scene, account: Uuid, cookie: &str) -> String {
    let output = scene.stage.issuer.run(&["recover", &account.to_string()]);
    let link: Url = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let headers = [("cookie", cookie), ("origin", ISSUER), FORM];
    let answer = scene.stage.issuer.send(Method::POST, link.path(), &headers, "").await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let set = set.into_iter().find(|value| value.starts_with("__Host-session=")).unwrap();
    for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
        assert!(set.contains(part), "{set}");
    }
    set.split(';').next().unwrap().to_owned()
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_again_has_a_new_secret() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(), scene.person());
    let token = scene.tokens(&ada, &[]).await["access_token"].as_str().unwrap().to_owned();
    let silent = good(&[("prompt", "none")]);
    let renewed = Person { cookie: let_in(&scene, ada.account, &ada.cookie).await, ..ada };
    assert_ne!(renewed.cookie, ada.cookie);
    assert_eq!(returned(&scene.authorize(Some(&ada), &silent).await, "error"), "login_required");
    assert_eq!(returned(&scene.authorize(Some(&renewed), &silent).await, "error"), "");
    assert_eq!(scene.userinfo(&token).await.status, 200, "clients do not notice");
    assert_eq!(scene.stage.count("errands WHERE kind = 'back_channel_logout'"), "0");
    let sessions = format!("browser_sessions WHERE id = '{}' AND provider = 'recovery'", ada.session);
    assert_eq!(scene.stage.count(&sessions), "1");
    // Somebody else in the same browser.
    let_in(&scene, bob.account, &renewed.cookie).await;
    assert_eq!(returned(&scene.authorize(Some(&renewed), &silent).await, "error"), "login_required");
    assert_eq!(scene.userinfo(&token).await.status, 401);
    assert_eq!(scene.stage.count("errands WHERE kind = 'back_channel_logout'"), "1");
    assert_eq!(scene.audited("session.end").trim(), "success");
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_swept() {
    let mut scene = Scene::new().await;
    let (ada, bob, eve) = (scene.person(), scene.person(), scene.person());
    // One has ended in every way, one goes on, and one goes on without a session.
    scene.tokens(&ada, &[]).await;
    let kept = scene.tokens(&bob, &[]).await;
    let offline = scene.tokens(&eve, &[("scope", "openid offline_access")]).await;
    for account in [ada.account, eve.account] {
        scene.sql(&format!("UPDATE browser_sessions SET expires_at = now() WHERE account_id = '{account}'"));
    }
    scene.sql(&format!(
        "UPDATE issued_tokens SET expires_at = now() FROM grants WHERE grants.id = grant_id AND account_id = '{}'",
        ada.account
    ));
    scene.sql("UPDATE codes SET expires_at = now() - interval '2 h'");
    scene.sql("INSERT INTO used_assertions SELECT 'x', sha256(n::text::bytea), now() FROM generate_series(1, 2500) AS n");
    scene.sql(&format!(
        "INSERT INTO recoveries VALUES (sha256('x'), '{}', now(), now() - interval '2 days', NULL)",
        ada.account
    ));
    scene.sql("INSERT INTO errands (id, kind, payload, created_at, due_at) VALUES (gen_random_uuid(), 'mail', '{}', \
         now() - interval '8 days', now())");
    // Sweeping begins with the process.
    scene.stage.issuer.kill();
    scene.stage.issuer.start_again(&[]);
    let started = Instant::now();
    while scene.stage.count("used_assertions") != "0" || scene.stage.count("errands") != "0" {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(scene.stage.count("codes"), "0");
    assert_eq!(scene.stage.count("recoveries"), "0");
    assert_eq!(scene.stage.count("issued_tokens"), "3");
    assert_eq!(scene.stage.count("browser_sessions"), "1");
    assert_eq!(scene.sql("SELECT string_agg(ended_because, ',') FROM grants"), "expired");
    assert_eq!(scene.userinfo(kept["access_token"].as_str().unwrap()).await.status, 200);
    let refresh =
        [("grant_type", "refresh_token"), ("refresh_token", offline["refresh_token"].as_str().unwrap())];
    assert_eq!(scene.post_as("app", "/token", &refresh).await.status, 200);
    // Grants are removed a day after their end, and those of which nothing is left a day after they began.
    scene.sql("UPDATE grants SET ended_at = now() - interval '25 h' WHERE ended_at IS NOT NULL");
    scene.sql("UPDATE grants SET created_at = now() - interval '25 h'");
    scene.sql(&format!(
        "DELETE FROM issued_tokens USING grants WHERE grants.id = grant_id AND account_id = '{}'",
        eve.account
    ));
    scene.stage.issuer.kill();
    scene.stage.issuer.start_again(&[]);
    let started = Instant::now();
    while scene.stage.count("grants") != "1" {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let code = scene.code(&bob, &[]).await;
    assert_eq!(error(&scene.post_as("other", "/token", &redemption(&code, &[])).await), "invalid_grant");
}
