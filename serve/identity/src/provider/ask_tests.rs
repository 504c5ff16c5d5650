use super::*;
use url::form_urlencoded;

const CHALLENGE_TEXT: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const BACK: &str = "https://app.example/callback";

fn settings() -> Settings {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "s".repeat(32)).unwrap();
    let secret = secret.display();
    Settings::parse(&format!(
        r#"
        [[client]]
        id = "app"
        secret_file = "{secret}"
        redirect_uris = ["{BACK}", "https://app.example/other?a=b"]
        [[client]]
        id = "old"
        secret_file = "{secret}"
        redirect_uris = ["https://old.example/"]
        pkce = "optional"
        scopes = ["openid", "email", "offline_access"]
        [[provider]]
        kind = "github"
        client_id = "g"
        secret_file = "{secret}"
        "#
    ))
    .unwrap()
}

/// A good request with these changes; a parameter that becomes nothing is left out.
fn ask(changes: &[(&str, &str)]) -> Result<Asked, Refused> {
    let mut pairs: Vec<(&str, &str)> = vec![
        ("client_id", "app"),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("state", "s"),
        ("nonce", "n"),
        ("code_challenge", CHALLENGE_TEXT),
        ("code_challenge_method", "S256"),
    ];
    for change in changes {
        match pairs.iter_mut().find(|(name, _)| *name == change.0) {
            Some(pair) => pair.1 = change.1,
            None => pairs.push(*change),
        }
    }
    parse(&form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

fn parse(query: &str) -> Result<Asked, Refused> {
    read(&settings(), &Parameters::parse(query.as_bytes()).unwrap())
}

fn error(changes: &[(&str, &str)]) -> &'static str {
    match ask(changes) {
        Err(Refused::Back { error, request, .. }) => {
            assert_eq!(request.redirect_uri, BACK);
            assert_eq!(request.state.as_deref(), Some("s"), "the client knows its request again");
            error
        }
        Err(Refused::Here(_)) => "here",
        Ok(_) => "none",
    }
}

#[test]
fn a_request_in_order_is_taken_whole() {
    let hint = [("prompt", "login"), ("max_age", "60"), ("login_hint", "ada"), ("id_token_hint", "t")];
    let asked = ask(&hint).unwrap();
    assert_eq!(asked.hint.as_deref(), Some("t"));
    let request = asked.request;
    assert_eq!(request.scope, ["openid", "email"]);
    assert_eq!((request.state.as_deref(), request.nonce.as_deref()), (Some("s"), Some("n")));
    assert_eq!(request.challenge.as_deref(), Some(CHALLENGE_TEXT));
    assert_eq!((request.prompt, request.max_age), (Prompt::Login, Some(60)));
    assert_eq!(request.login_hint.as_deref(), Some("ada"));
    let others = [("display", "popup"), ("ui_locales", "de en"), ("acr_values", "1 2"), ("extra", "foobar")];
    assert_eq!(error(&others), "none", "what is not known is ignored");
    assert_eq!(error(&[("nonce", "")]), "none", "the nonce is the client's to want");
}

#[test]
fn nobody_is_sent_where_the_client_has_not_said() {
    for changes in [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("redirect_uri", ""),
        ("redirect_uri", "https://app.example/callback/"),
        ("redirect_uri", "https://app.example/callback?x=y"),
        ("redirect_uri", "https://app.example/callbac"),
        ("redirect_uri", "https://app.example/callback/../callback"),
        ("redirect_uri", "HTTPS://app.example/callback"),
        ("redirect_uri", "https://app.example:443/callback"),
        ("redirect_uri", "https://app.example@evil.example/callback"),
        ("redirect_uri", "https://app.example.evil.example/callback"),
        ("redirect_uri", "https://old.example/"),
        ("redirect_uri", "https://app.example/other"),
    ] {
        assert_eq!(error(&[changes]), "here", "{changes:?}");
    }
    let twice =
        format!("client_id=app&redirect_uri={BACK}&redirect_uri={BACK}&response_type=code&scope=openid");
    assert!(matches!(parse(&twice), Err(Refused::Here(_))));
    assert!(matches!(parse(&format!("client_id=app&{twice}")), Err(Refused::Here(_))));
}

#[test]
fn what_is_wrong_is_told_to_the_client() {
    for (changes, expected) in [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", "code id_token"), "unsupported_response_type"),
        (("response_mode", "fragment"), "invalid_request"),
        (("response_mode", "query"), "none"),
        (("scope", ""), "invalid_scope"),
        (("scope", "email"), "invalid_scope"),
        (("request", "x.y.z"), "request_not_supported"),
        (("request_uri", "https://app.example/request"), "request_uri_not_supported"),
        (("registration", "{}"), "registration_not_supported"),
        (("prompt", "none login"), "invalid_request"),
        (("prompt", "create"), "invalid_request"),
        (("max_age", "-1"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("claims", "{"), "invalid_request"),
        (("claims", r#"{"id_token":{"sub":{"value":"nobody"}}}"#), "login_required"),
        (
            ("claims", r#"{"id_token":{"acr":{"essential":true,"value":"x"}}}"#),
            "unmet_authentication_requirements",
        ),
        (("login_hint", &"x".repeat(255)), "invalid_request"),
    ] {
        assert_eq!(error(&[changes]), expected, "{changes:?}");
    }
    let twice =
        format!("client_id=app&redirect_uri={BACK}&response_type=code&scope=openid&nonce=1&nonce=2&state=s");
    assert!(matches!(parse(&twice), Err(Refused::Back { error: "invalid_request", .. })));
}

#[test]
fn a_challenge_is_there_and_by_sha_256() {
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    assert_eq!(error(&without), "invalid_request");
    assert_eq!(error(&[("code_challenge_method", "plain")]), "invalid_request");
    assert_eq!(error(&[("code_challenge_method", "")]), "invalid_request", "the default would be plain");
    assert_eq!(error(&[("code_challenge", "")]), "invalid_request");
    assert_eq!(error(&[("code_challenge", "short")]), "invalid_request");
    assert_eq!(error(&[("code_challenge", &"=".repeat(43))]), "invalid_request");
    let old = [("client_id", "old"), ("redirect_uri", "https://old.example/")];
    let asked = ask(&[&old[..], &without].concat()).unwrap();
    assert_eq!(asked.request.challenge, None);
    assert!(matches!(
        ask(&[&old[..], &[("code_challenge_method", "plain")]].concat()),
        Err(Refused::Back { .. })
    ));
}

#[test]
fn a_client_gets_no_scope_but_its_own() {
    let old = [("client_id", "old"), ("redirect_uri", "https://old.example/")];
    let scope = [("scope", "offline_access profile openid admin")];
    let asked = ask(&[&old[..], &scope].concat()).unwrap();
    assert_eq!(asked.request.scope, ["openid", "offline_access"]);
}

#[test]
fn of_several_prompts_the_one_that_asks_most_counts() {
    let request = |text: &str| ask(&[("prompt", text)]).unwrap().request;
    let found = |text: &str| request(text).prompt;
    assert!(request("consent").consents && request("select_account consent").consents);
    assert!(!request("login").consents && !request("").consents);
    assert_eq!(found(""), Prompt::Needed);
    assert_eq!(found("none"), Prompt::None);
    assert_eq!(found("consent"), Prompt::Login);
    assert_eq!(found("login consent"), Prompt::Login);
    assert_eq!(found("select_account login"), Prompt::SelectAccount);
    assert_eq!(found("login select_account"), Prompt::SelectAccount);
}
