use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

fn expected() -> Expected<'static> {
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    Expected { issuer: "https://id.example", client_id: "app", now }
}

fn header(typ: Option<&str>) -> Header {
    let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
    header.typ = typ.map(str::to_owned);
    header
}

/// Claims, changed: null takes one away.
fn with(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn identify(changes: &Value) -> Result<Somebody, TokenError> {
    let good = json!({
        "iss": "https://id.example", "aud": "app", "sub": "ada", "nonce": "n", "iat": NOW, "exp": NOW + 300,
        "sid": "s1", "email": "ada@example.test", "email_verified": true, "name": "Ada"
    });
    let token: IdToken =
        serde_json::from_value(with(good, changes)).map_err(|_| TokenError::Jwt(JwtError::Malformed))?;
    token.check(&header(Some("JWT")), &expected(), "n")
}

#[test]
fn a_good_token_says_who_it_is() {
    let somebody = Somebody {
        subject: "ada".to_owned(),
        sid: Some("s1".to_owned()),
        email: Some("ada@example.test".to_owned()),
        name: "Ada".to_owned(),
    };
    assert_eq!(identify(&json!({})), Ok(somebody));
    assert!(identify(&json!({"aud": ["app"], "azp": "app"})).is_ok());
    assert!(identify(&json!({"aud": ["other", "app"], "azp": "app"})).is_ok());
}

#[test]
fn a_token_for_somebody_else_is_refused() {
    let cases = [
        (json!({"iss": "https://id.example/"}), TokenError::Issuer),
        (json!({"iss": null}), TokenError::Jwt(JwtError::Malformed)),
        (json!({"aud": "other"}), TokenError::Audience),
        (json!({"aud": []}), TokenError::Audience),
        (json!({"aud": null}), TokenError::Jwt(JwtError::Malformed)),
        (json!({"aud": ["app", "other"]}), TokenError::Audience),
        (json!({"aud": ["app", "other"], "azp": "other"}), TokenError::Audience),
        (json!({"azp": "other"}), TokenError::Audience),
        (json!({"nonce": "m"}), TokenError::Nonce),
        (json!({"nonce": null}), TokenError::Nonce),
        (json!({"sub": null}), TokenError::Subject),
        (json!({"sub": ""}), TokenError::Subject),
        (json!({"sub": "a\u{0}b"}), TokenError::Subject),
        (json!({"sub": "a".repeat(256)}), TokenError::Subject),
        (json!({"sub": 1}), TokenError::Jwt(JwtError::Malformed)),
    ];
    for (changes, error) in cases {
        assert_eq!(identify(&changes), Err(error), "{changes}");
    }
}

#[test]
fn clocks_may_be_a_minute_apart() {
    for good in [
        json!({"exp": NOW - 59}),
        json!({"iat": NOW + 60}),
        json!({"nbf": NOW + 60}),
        json!({"iat": NOW - 660}),
        json!({"exp": 1_800_000_300.5}),
    ] {
        assert!(identify(&good).is_ok(), "{good}");
    }
    let cases = [
        (json!({"exp": NOW - 60}), TokenError::Old),
        (json!({"iat": NOW - 661}), TokenError::Old),
        (json!({"iat": NOW + 61}), TokenError::Early),
        (json!({"nbf": NOW + 61}), TokenError::Early),
        (json!({"exp": null}), TokenError::Timeless),
        (json!({"iat": null}), TokenError::Timeless),
        (json!({"exp": "soon"}), TokenError::Jwt(JwtError::Malformed)),
    ];
    for (changes, error) in cases {
        assert_eq!(identify(&changes), Err(error), "{changes}");
    }
}

#[test]
fn a_token_of_another_kind_is_refused() {
    let token = |typ| {
        let token = serde_json::from_value::<IdToken>(json!({
            "iss": "https://id.example", "aud": "app", "sub": "ada", "nonce": "n", "iat": NOW, "exp": NOW + 300
        }));
        token.unwrap().check(&header(typ), &expected(), "n").map(drop)
    };
    assert_eq!(token(None), Ok(()));
    assert_eq!(token(Some("application/jwt")), Ok(()));
    for other in ["logout+jwt", "at+jwt", "application/secevent+jwt", ""] {
        assert_eq!(token(Some(other)), Err(TokenError::Kind), "{other}");
    }
}

#[test]
fn an_address_counts_when_the_issuer_has_verified_it() {
    let email = |changes| identify(&changes).unwrap().email;
    assert_eq!(email(json!({"email_verified": "true"})).as_deref(), Some("ada@example.test"));
    for changes in [
        json!({"email_verified": false}),
        json!({"email_verified": "false"}),
        json!({"email_verified": null}),
        json!({"email": "no address"}),
    ] {
        assert_eq!(email(changes.clone()), None, "{changes}");
    }
    assert_eq!(identify(&json!({"name": "A\u{0}d\na "})).unwrap().name, "Ada");
    assert_eq!(identify(&json!({"name": null, "preferred_username": "ada"})).unwrap().name, "ada");
    assert_eq!(identify(&json!({"name": null})).unwrap().name, "");
}

fn logout(typ: Option<&str>, changes: &Value) -> Result<Logout, TokenError> {
    let good = json!({
        "iss": "https://id.example", "aud": "app", "sub": "ada", "sid": "s1", "iat": NOW, "exp": NOW + 120,
        "jti": "1", "events": {"http://schemas.openid.net/event/backchannel-logout": {}}
    });
    let token: LogoutToken =
        serde_json::from_value(with(good, changes)).map_err(|_| TokenError::Jwt(JwtError::Malformed))?;
    token.check(&header(typ), &expected())
}

#[test]
fn a_logout_token_names_a_session_or_a_subject() {
    let ended = |changes| logout(Some("logout+jwt"), &changes).map(|logout| logout.ended);
    assert_eq!(ended(json!({})), Ok(Ended::Session("s1".to_owned())));
    assert_eq!(ended(json!({"sub": null})), Ok(Ended::Session("s1".to_owned())));
    assert_eq!(ended(json!({"sid": null})), Ok(Ended::Subject("ada".to_owned())));
    assert_eq!(ended(json!({"sid": null, "sub": null})), Err(TokenError::Subject));
    for typ in [None, Some("JWT"), Some("application/logout+jwt")] {
        assert_eq!(logout(typ, &json!({})).unwrap().id, "1");
    }
    assert!(logout(None, &json!({"exp": null})).is_ok(), "older issuers leave it out");
}

#[test]
fn what_is_no_logout_token_is_refused() {
    let cases = [
        (json!({"nonce": "n"}), TokenError::Kind),
        (json!({"events": null}), TokenError::Kind),
        (json!({"events": {}}), TokenError::Kind),
        (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": true}}), TokenError::Kind),
        (json!({"jti": null}), TokenError::Nameless),
        (json!({"jti": ""}), TokenError::Nameless),
        (json!({"iat": null}), TokenError::Timeless),
        (json!({"iat": NOW - 661}), TokenError::Old),
        (json!({"exp": NOW - 60}), TokenError::Old),
        (json!({"iss": "https://other.example"}), TokenError::Issuer),
        (json!({"aud": "other"}), TokenError::Audience),
    ];
    for (changes, error) in cases {
        assert_eq!(logout(Some("logout+jwt"), &changes), Err(error), "{changes}");
    }
    assert_eq!(logout(Some("at+jwt"), &json!({})), Err(TokenError::Kind));
}
