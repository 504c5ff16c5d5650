//! Whom each asks though the browser is known to it.

use std::time::Duration;

use login_providers::Provider;

use crate::scene::*;

/// A question to each, and the words and the age by which it asks anew.
const ALL: [(Provider, &str, &str, &[&str], bool); 4] = [
    (Provider::Google, "/o/oauth2/v2/auth", "openid", &["select_account", "select_account consent"], true),
    (Provider::Github, "/login/oauth/authorize", "read:user", &["select_account"], false),
    (Provider::Microsoft, "/common/oauth2/v2.0/authorize", "openid", &["login", "select_account"], true),
    (Provider::Apple, "/auth/authorize", "openid", &[], false),
];

#[tokio::test]
async fn whoever_is_signed_in_is_asked_where_the_question_wants_it() {
    for (provider, path, scope, words, knows_age) in ALL {
        let scene = Scene::with_secret(provider).await;
        let question = [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("redirect_uri", BACK),
            ("scope", scope),
            ("state", "st"),
        ];
        let asks = async |more: &[(&'static str, &'static str)]| {
            let answer = scene.get(provider, path, &with(&question, more)).await;
            answer.text.contains("id=\"username\"")
        };
        for known in [("prompt", ""), ("prompt", "consent"), ("max_age", "60")] {
            assert!(!asks(&[known]).await, "{provider:?} {known:?}");
        }
        for word in words {
            assert!(asks(&[("prompt", *word)]).await, "{provider:?} {word}");
        }
        assert_eq!(asks(&[("max_age", "0")]).await, knows_age, "{provider:?}");
        scene.providers.advance(Duration::from_secs(60));
        assert_eq!(asks(&[("max_age", "60")]).await, knows_age, "{provider:?}");
        assert!(!asks(&[("max_age", "120")]).await, "{provider:?}");
    }
    // Apple's signs in whatever the question wishes for.
    let scene = Scene::with_secret(Provider::Apple).await;
    let question =
        [("response_type", "code"), ("client_id", CLIENT), ("redirect_uri", BACK), ("prompt", "login")];
    let answer = scene.get(Provider::Apple, "/auth/authorize", &question).await;
    assert!(given(&answer, "code").is_some());
}
