//! Which answers are not believed.

use foundation::jwt::JwtError;
use login_providers::{Fault, Provider};

use super::super::error::{TokenError, UpstreamError};
use super::super::manner::Wish;
use super::scene::Scene;
use crate::attempt::Attempt;
use crate::pages::Failure;

#[tokio::test]
async fn no_token_that_is_wrong_is_believed() {
    let scene = Scene::new().await;
    for (provider, name) in
        [(Provider::Google, "google"), (Provider::Microsoft, "microsoft"), (Provider::Apple, "apple")]
    {
        for (fault, expected) in [
            (Fault::WrongNonce, TokenError::Nonce),
            (Fault::WrongAudience, TokenError::Audience),
            (Fault::OtherParty, TokenError::Audience),
            (Fault::WrongIssuer, TokenError::Issuer),
            (Fault::Expired, TokenError::Old),
            (Fault::Future, TokenError::Early),
            (Fault::WrongAtHash, TokenError::AccessToken),
            (Fault::NoAlgorithm, TokenError::Jwt(JwtError::Malformed)),
            (Fault::SignedWithPublicKey, TokenError::Jwt(JwtError::Algorithm)),
            (Fault::ForgedKey, TokenError::Jwt(JwtError::NotSigned)),
            (Fault::UnknownKey, TokenError::Jwt(JwtError::NotSigned)),
        ] {
            scene.world.does_wrong(provider, Some(fault.clone()));
            let outcome = scene.identify(name).await;
            let error = outcome.map(|_| ()).unwrap_err();
            assert!(
                matches!(&error, UpstreamError::Token(token) if *token == expected),
                "{name} {fault:?}: {error}"
            );
            assert_eq!((error.failure(), error.denial()), (Failure::NotBelieved, Some(expected.reason())));
        }
        scene.world.does_wrong(provider, None);
        assert!(scene.identify(name).await.is_ok(), "{name}");
    }
    scene.world.does_wrong(Provider::Google, Some(Fault::SignedWithSecret));
    let error = scene.identify("google").await.unwrap_err();
    assert!(matches!(error, UpstreamError::Token(TokenError::Jwt(JwtError::Algorithm))), "{error}");
}

#[tokio::test]
async fn no_tenant_speaks_for_another() {
    let scene = Scene::new().await;
    for (fault, expected) in
        [(Fault::ForgedTenant, TokenError::Issuer), (Fault::ConsumersKey, TokenError::KeyIssuer)]
    {
        scene.world.does_wrong(Provider::Microsoft, Some(fault.clone()));
        let error = scene.identify("microsoft").await.unwrap_err();
        assert!(matches!(&error, UpstreamError::Token(token) if *token == expected), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn the_answer_of_one_provider_is_none_of_another() {
    let scene = Scene::new().await;
    for (provider, name) in [(Provider::Google, "google"), (Provider::Microsoft, "microsoft")] {
        scene.world.does_wrong(provider, Some(Fault::OtherIssuerAnswers));
        let error = scene.identify(name).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Answerer), "{name}: {error}");
        scene.world.does_wrong(provider, None);
    }
    // Mix-up: the browser was sent to one, and the answer comes to the place of another.
    let (attempt, returned) = scene.comes_back("github", &Wish::default()).await;
    let error = scene.source("google").identify(&attempt, &returned).await.unwrap_err();
    assert!(matches!(error, UpstreamError::OtherProvider), "{error}");
    let unsent = Attempt { provider: None, ..attempt.clone() };
    let error = scene.source("github").identify(&unsent, &returned).await.unwrap_err();
    assert!(matches!(error, UpstreamError::OtherProvider), "{error}");
    // A code of the fifth, which is at the same site, is another client's at Google.
    let (attempt, returned) = scene.comes_back("fifth", &Wish::default()).await;
    let moved = Attempt { provider: Some("google".to_owned()), ..attempt };
    let error = scene.source("google").identify(&moved, &returned).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Code), "{error}");
}

#[tokio::test]
async fn a_code_is_good_once_and_for_who_asked() {
    let scene = Scene::new().await;
    for name in ["google", "github", "microsoft", "apple"] {
        let source = scene.source(name);
        let (attempt, returned) = scene.comes_back(name, &Wish::default()).await;
        assert!(source.identify(&attempt, &returned).await.is_ok(), "{name}");
        let again = source.identify(&attempt, &returned).await.unwrap_err();
        assert!(matches!(again, UpstreamError::Code), "{name}: {again}");
        // An injected code: it was made for the challenge of another attempt.
        let (_, stolen) = scene.comes_back(name, &Wish::default()).await;
        let injected = source.identify(&attempt, &stolen).await.unwrap_err();
        assert!(matches!(injected, UpstreamError::Code), "{name}: {injected}");
    }
}

#[tokio::test]
async fn an_answer_without_a_code_is_none() {
    let scene = Scene::new().await;
    let (attempt, mut returned) = scene.comes_back("google", &Wish::default()).await;
    let source = scene.source("google");
    for code in [None, Some(String::new())] {
        returned.code = code;
        assert!(matches!(source.identify(&attempt, &returned).await, Err(UpstreamError::Empty)));
    }
    for (error, failure) in [
        ("access_denied", Failure::Refused),
        ("temporarily_unavailable", Failure::ProviderUnavailable),
        ("server_error", Failure::ProviderUnavailable),
        ("redirect_uri_mismatch", Failure::ProviderUnavailable),
        ("<script>", Failure::NotBelieved),
    ] {
        returned.error = Some(error.to_owned());
        assert_eq!(source.identify(&attempt, &returned).await.unwrap_err().failure(), failure, "{error}");
    }
}

#[tokio::test]
async fn new_keys_are_found_and_old_ones_still_count() {
    let scene = Scene::new().await;
    assert!(scene.identify("google").await.is_ok());
    scene.world.rotates_keys(Provider::Google);
    assert!(scene.identify("google").await.is_ok());
    assert_eq!(scene.world.asked_for(Provider::Google, "/oauth2/v3/certs"), 2);
    scene.world.rotates_keys(Provider::Microsoft);
    assert!(scene.identify("microsoft").await.is_ok());
}
