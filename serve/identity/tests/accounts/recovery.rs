//! `identity recover USER`, and what its link does.

use crate::support::people;
use crate::support::stage::{ISSUER, Stage};
use crate::{SESSION, url, visitor};

fn link(stage: &Stage, user: &str) -> Result<url::Url, String> {
    let output = stage.issuer.run(&["recover", user]);
    let (said, wrong) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if output.status.success() { Ok(said.trim().parse().unwrap()) } else { Err(wrong) }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_link_lets_in_once_and_not_by_looking_at_it() {
    let stage = Stage::new(people::settings).await;
    let account = people::account(&stage.servers, "ada");
    let link = link(&stage, "Ada@example.test").unwrap();
    assert!(link.as_str().starts_with(&format!("{ISSUER}/recover/")), "{link}");
    let secret = link.path_segments().unwrap().next_back().unwrap();
    let mut browser = visitor(&stage);
    for _ in 0..3 {
        let page = browser.open(&link).await;
        assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, "no-store"));
        // The address is the secret: it is told to nobody.
        assert_eq!(page.header("referrer-policy"), "strict-origin");
    }
    assert_eq!(browser.post(&link, "https://evil.test", &[]).await.status, 403);
    let answer = browser.post(&link, ISSUER, &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/account"));
    assert!(browser.cookie(ISSUER, SESSION).is_some());
    assert_eq!(stage.servers.sql("SELECT provider FROM browser_sessions", "app"), "recovery");
    assert!(browser.open(&url("/account")).await.text.contains("an operator&#39;s link"));
    let again = visitor(&stage).post(&link, ISSUER, &[]).await;
    assert_eq!(again.status, 404);
    assert!(again.text.contains("This link does not work"), "{}", again.text);
    let log = stage.servers.sql(
        "SELECT string_agg(action || ' ' || result || ' ' || actor_kind, ', ' ORDER BY occurred_at, action) \
         FROM audit_events WHERE action LIKE 'account.recovery%'",
        "app",
    );
    assert_eq!(
        log,
        "account.recovery_made success system, account.recovery_used success person, \
         account.recovery_used denied stranger"
    );
    assert_eq!(stage.count(&format!("audit_events WHERE resource_id = '{account}'")), "2");
    let kept = "SELECT string_agg(to_jsonb(r)::text, '') FROM recoveries r";
    assert!(!stage.servers.sql(kept, "app").contains(secret));
    for line in stage.issuer.log() {
        assert!(!line.to_string().contains(secret), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn guesses_are_slowed_by_their_address_and_nobody_elses() {
    let stage = Stage::new(people::settings).await;
    let account = people::account(&stage.servers, "ada");
    let mut guesser = visitor(&stage);
    let wrong = url(&format!("/recover/{}", "A".repeat(43)));
    // Whether a link is good is not seen by looking at it either.
    let good = link(&stage, &account.to_string()).unwrap();
    let looks = |page: String| page.replace(good.path(), "LINK").replace(wrong.path(), "LINK");
    assert_eq!(looks(guesser.open(&wrong).await.text), looks(guesser.open(&good).await.text));
    // One flows back each second, while this goes on.
    let mut slowed = guesser.post(&wrong, ISSUER, &[]).await;
    for _ in 0..300 {
        if slowed.status == 429 {
            break;
        }
        assert_eq!(slowed.status, 404);
        slowed = guesser.post(&wrong, ISSUER, &[]).await;
    }
    assert_eq!(slowed.status, 429);
    assert!(slowed.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(slowed.text.contains("Too many attempts"), "{}", slowed.text);
    assert_eq!(visitor(&stage).post(&good, ISSUER, &[]).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn whoever_is_not_one_account_gets_no_link() {
    let stage = Stage::new(people::settings).await;
    assert!(link(&stage, "nobody@example.test").unwrap_err().contains("no account has this"));
    let (first, second) = (people::account(&stage.servers, "ada"), people::account(&stage.servers, "ada"));
    let several = link(&stage, "ada@example.test").unwrap_err();
    for part in ["2 accounts", &first.to_string(), &second.to_string()] {
        assert!(several.contains(part), "{several}");
    }
    assert_eq!(stage.count("recoveries"), "0");
}
