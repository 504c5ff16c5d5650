//! Whom each provider's answer makes somebody.

use foundation::clock::{Clock as _, SystemClock, SystemRandomness};
use login_providers::{COMPANY, CONSUMERS, Provider, STRICT_COMPANY};
use serde_json::json;

use super::super::error::{TokenError, UpstreamError};
use super::super::manner::Wish;
use super::super::{Address, Verified};
use super::scene::Scene;
use crate::attempt::{Attempt, Purpose};
use crate::request::Prompt;

fn address(text: &str, is_vouched: bool) -> Option<Address> {
    Some(Address { text: text.to_owned(), is_vouched, is_relay: false })
}

fn is_ada(verified: &Verified, with_picture: bool) {
    assert_eq!(verified.given_name.as_deref(), Some("Ada"));
    assert_eq!(verified.family_name.as_deref(), Some("Lovelace"));
    let picture = with_picture.then_some("https://pictures.example.test/ada.png");
    assert_eq!(verified.picture.as_deref(), picture);
}

#[tokio::test]
async fn google_vouches_for_its_own_addresses_and_domains_alone() {
    let scene = Scene::new().await;
    let ada = scene.identify("google").await.unwrap();
    is_ada(&ada, true);
    assert_eq!(ada.subject, scene.world.account(Provider::Google, "ada").subject);
    assert_eq!(ada.email, address("ada@gmail.com", true));
    let tokens = ada.tokens.unwrap();
    assert!(
        tokens.refresh.is_some() && tokens.expires_at.is_some() && tokens.scope == "openid email profile"
    );
    for (account, expected) in [
        (json!({"verified": false}), address("ada@gmail.com", false)),
        (json!({"verified": true, "email": "ada@example.test"}), address("ada@example.test", false)),
        (json!({"tenant": "example.test"}), address("ada@example.test", true)),
        (json!({"email": null}), None),
    ] {
        scene.world.change(Provider::Google, "ada", &account).unwrap();
        assert_eq!(scene.identify("google").await.unwrap().email, expected, "{account}");
    }
    // Only the first time there is a refresh token, which does not end what is kept.
    assert!(scene.identify("google").await.unwrap().tokens.unwrap().refresh.is_none());
}

#[tokio::test]
async fn a_workspace_domain_is_compared_and_not_only_wished_for() {
    let scene = Scene::with("hosted_domain = \"example.test\"", "").await;
    let (attempt, returned) = scene.comes_back("google", &Wish::default()).await;
    let url = scene.source("google").invitation(&attempt, &Wish::default()).await.unwrap();
    assert!(url.query().unwrap().contains("&hd=example.test"));
    let other = scene.source("google").identify(&attempt, &returned).await;
    assert!(matches!(other, Err(UpstreamError::OtherOrganization)), "{other:?}");
    scene.world.change(Provider::Google, "ada", &json!({"tenant": "example.test"})).unwrap();
    assert!(scene.identify("google").await.is_ok());
}

#[tokio::test]
async fn github_tells_the_primary_address_and_never_that_of_the_profile() {
    let scene = Scene::new().await;
    let ada = scene.identify("github").await.unwrap();
    is_ada(&ada, true);
    assert_eq!(ada.subject, scene.world.account(Provider::Github, "ada").subject);
    assert_eq!(ada.email, address("ada@example.test", true));
    assert_eq!(ada.tokens.unwrap().scope, "read:user user:email");
    for (account, expected) in [
        (json!({"hidden": true}), address("ada@example.test", true)),
        (json!({"public_email": "victim@example.test"}), address("ada@example.test", true)),
        (json!({"verified": false}), address("ada@example.test", false)),
        (json!({"email": null}), None),
    ] {
        scene.world.change(Provider::Github, "ada", &account).unwrap();
        assert_eq!(scene.identify("github").await.unwrap().email, expected, "{account}");
    }
}

#[tokio::test]
async fn microsoft_tells_tenant_and_object_and_an_address_that_is_worth_what_it_says() {
    let scene = Scene::new().await;
    let ada = scene.identify("microsoft").await.unwrap();
    is_ada(&ada, false);
    let object = scene.world.account(Provider::Microsoft, "ada").subject;
    assert_eq!(ada.subject, format!("{COMPANY}:{object}"));
    assert_eq!(ada.email, address("ada@example.test", true));
    assert!(ada.tokens.unwrap().refresh.is_some());
    // Somebody of another tenant who writes the victim's address there: nothing vouches for it.
    let account = json!({"tenant": CONSUMERS, "verified": false, "email": "victim@example.test"});
    scene.world.change(Provider::Microsoft, "ada", &account).unwrap();
    let eve = scene.identify("microsoft").await.unwrap();
    assert_eq!(eve.subject, format!("{CONSUMERS}:{object}"));
    assert_eq!(eve.email, address("victim@example.test", false));
    scene.world.change(Provider::Microsoft, "ada", &json!({"tenant": STRICT_COMPANY})).unwrap();
    assert!(matches!(scene.identify("microsoft").await, Err(UpstreamError::ConsentNeeded)));
}

#[tokio::test]
async fn one_tenant_can_be_the_only_one() {
    let scene = Scene::with("", &format!("tenant = \"{COMPANY}\"")).await;
    assert!(scene.identify("microsoft").await.is_ok());
    let scene = Scene::with("", "tenant = \"consumers\"").await;
    scene.world.change(Provider::Microsoft, "ada", &json!({"tenant": CONSUMERS})).unwrap();
    assert!(scene.identify("microsoft").await.is_ok());
}

#[tokio::test]
async fn apple_tells_the_name_once_and_relays() {
    let scene = Scene::new().await;
    let ada = scene.identify("apple").await.unwrap();
    is_ada(&ada, false);
    assert_eq!(ada.email, address("ada@example.test", true));
    scene.world.change(Provider::Apple, "ada", &json!({"hidden": true})).unwrap();
    let again = scene.identify("apple").await.unwrap();
    assert_eq!((again.given_name, again.subject), (None, ada.subject));
    let email = again.email.unwrap();
    assert!(email.is_relay && email.is_vouched && email.text.ends_with("@privaterelay.appleid.com"));
    scene.world.change(Provider::Apple, "ada", &json!({"verified": false})).unwrap();
    assert!(!scene.identify("apple").await.unwrap().email.unwrap().is_vouched);
}

#[tokio::test]
async fn a_fifth_provider_is_configuration() {
    let scene = Scene::new().await;
    scene.world.change(Provider::Google, "ada", &json!({"email": "ada@example.test"})).unwrap();
    let ada = scene.identify("fifth").await.unwrap();
    is_ada(&ada, true);
    assert_eq!((ada.provider.as_str(), ada.email), ("fifth", address("ada@example.test", true)));
}

#[tokio::test]
async fn people_who_refuse_are_told_from_failures() {
    let scene = Scene::new().await;
    for (provider, name) in Provider::ALL.into_iter().zip(["google", "github", "microsoft", "apple"]) {
        scene.world.change(provider, "ada", &json!({"refuses": true})).unwrap();
        let refused = scene.identify(name).await;
        assert!(matches!(refused, Err(UpstreamError::Refused)), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn each_is_asked_in_its_own_way() {
    let scene = Scene::new().await;
    let wish = Wish { hint: Some("ada@b.c"), prompt: Prompt::Login, max_age: Some(60), ..Wish::default() };
    let attempt = Attempt::begin(Purpose::Account, &SystemClock, &SystemRandomness);
    for (name, has, lacks) in [
        (
            "google",
            vec!["prompt=select_account", "login_hint=ada%40b.c", "access_type=offline", "nonce="],
            vec!["max_age"],
        ),
        ("github", vec!["prompt=select_account", "scope=read%3Auser+user%3Aemail"], vec!["login=", "nonce="]),
        (
            "microsoft",
            vec!["prompt=login", "login_hint=", "response_mode=query", "offline_access"],
            vec!["max_age"],
        ),
        ("apple", vec!["response_mode=form_post", "scope=name+email"], vec!["prompt", "login_hint"]),
        ("fifth", vec!["prompt=login", "login_hint=", "max_age=60"], vec!["access_type"]),
    ] {
        let url = scene.source(name).invitation(&attempt, &wish).await.unwrap();
        let query = url.query().unwrap();
        let state = format!("state={}", attempt.state);
        let callback = format!("redirect_uri=https%3A%2F%2Fid.example.test%2Fcallback%2F{name}");
        for part in ["code_challenge_method=S256", &state, &callback].into_iter().chain(has) {
            assert!(query.contains(part), "{name} lacks {part}: {query}");
        }
        for part in lacks {
            assert!(!query.contains(part), "{name} has {part}: {query}");
        }
        assert!(!query.contains(&attempt.verifier));
    }
}

#[tokio::test]
async fn a_fifth_provider_says_when_the_person_signed_in() {
    let scene = Scene::new().await;
    let source = scene.source("fifth");
    let Verified { authenticated_at, .. } = scene.identify("fifth").await.unwrap();
    assert_eq!(authenticated_at, None, "nobody has asked");
    let begun = Attempt::begin(Purpose::Again, &SystemClock, &SystemRandomness);
    let attempt = Attempt { provider: Some("fifth".to_owned()), ..begun };
    let url = source.invitation(&attempt, &Wish::of(&attempt.purpose)).await.unwrap();
    assert!(url.query().unwrap().contains("prompt=login&max_age=600"), "{url}");
    let returned = scene.returned("fifth", &url).await;
    let verified = source.identify(&attempt, &returned).await.unwrap();
    let signed_in = verified.authenticated_at.expect("it was asked");
    assert!((SystemClock.now() - signed_in).whole_seconds() < 60);
    // Without the wish the provider does not say it, and is not believed.
    let again = source.invitation(&attempt, &Wish::default()).await.unwrap();
    let returned = scene.returned("fifth", &again).await;
    let refused = source.identify(&attempt, &returned).await.unwrap_err();
    assert!(matches!(refused, UpstreamError::Token(TokenError::Undated)), "{refused}");
}

#[tokio::test]
async fn googles_refresh_token_comes_again_with_consent() {
    let scene = Scene::new().await;
    let refresh = async |wish: &Wish<'_>| {
        let (attempt, returned) = scene.comes_back("google", wish).await;
        scene.source("google").identify(&attempt, &returned).await.unwrap().tokens.unwrap().refresh
    };
    assert!(refresh(&Wish::default()).await.is_some());
    assert!(refresh(&Wish::default()).await.is_none());
    assert!(refresh(&Wish { consents: true, ..Wish::default() }).await.is_some());
    let words = |prompt| {
        let wish = Wish { prompt, consents: true, keeps_tokens: true, ..Wish::default() };
        scene.source("google").manner.adds(&wish)[0].clone()
    };
    assert_eq!(words(Prompt::Login), ("prompt", "select_account consent".to_owned()));
}
