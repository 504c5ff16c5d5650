use foundation::jwt::JwtError;
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

fn check(changes: Value) -> Result<(), TokenError> {
    check_aged(changes, None)
}

fn check_aged(changes: Value, max_age: Option<u64>) -> Result<(), TokenError> {
    let mut claims = json!({
        "iss": "https://provider.example", "aud": "us", "sub": "ada", "nonce": "n", "iat": NOW, "exp": NOW + 300
    });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let token: IdToken = serde_json::from_value(claims).unwrap();
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    // OpenID Connect Core 1.0, appendix A.3.
    let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    token.check(&Header::default(), &Expected { client_id: "us", nonce: "n", access, max_age, now })
}

#[test]
fn a_token_is_for_us_now_and_answers_our_question() {
    for good in [
        json!({}),
        json!({"aud": ["us"]}),
        json!({"aud": ["us", "them"], "azp": "us"}),
        json!({"iat": NOW + 60}),
        json!({"nbf": NOW + 60}),
        json!({"exp": NOW - 59}),
        json!({"iat": NOW - 660}),
        json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}),
    ] {
        assert_eq!(check(good.clone()), Ok(()), "{good}");
    }
    for (bad, error) in [
        (json!({"aud": "them"}), TokenError::Audience),
        (json!({"aud": ["them"]}), TokenError::Audience),
        (json!({"aud": []}), TokenError::Audience),
        (json!({"aud": ["us", "them"]}), TokenError::Audience),
        (json!({"aud": ["us", "them"], "azp": "them"}), TokenError::Audience),
        (json!({"azp": "them"}), TokenError::Audience),
        (json!({"iat": null}), TokenError::Timeless),
        (json!({"exp": null}), TokenError::Timeless),
        (json!({"iat": NOW + 61}), TokenError::Early),
        (json!({"nbf": NOW + 61}), TokenError::Early),
        (json!({"iat": NOW - 661}), TokenError::Old),
        (json!({"exp": NOW - 60}), TokenError::Old),
        (json!({"nonce": null}), TokenError::Nonce),
        (json!({"nonce": "m"}), TokenError::Nonce),
        (json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RR"}), TokenError::AccessToken),
    ] {
        assert_eq!(check(bad.clone()), Err(error), "{bad}");
    }
}

#[test]
fn yes_is_said_in_several_ways_and_in_no_other() {
    for yes in [json!(true), json!("true"), json!(1), json!("1")] {
        assert!(says_yes(Some(&yes)), "{yes}");
    }
    for no in
        [json!(false), json!("false"), json!(0), json!("TRUE"), json!(null), json!([true]), json!("yes")]
    {
        assert!(!says_yes(Some(&no)), "{no}");
    }
    assert!(!says_yes(None));
}

#[test]
fn reasons_are_stable_names() {
    assert_eq!(TokenError::Jwt(JwtError::NotSigned).reason(), "token-not-signed");
}

#[test]
fn whoever_may_have_signed_in_so_long_ago_has_and_no_longer() {
    let of = |auth_time: Value| check_aged(json!({ "auth_time": auth_time }), Some(100));
    for good in [json!(NOW), json!(NOW - 160), json!(NOW + 60)] {
        assert_eq!(of(good.clone()), Ok(()), "{good}");
    }
    assert_eq!(of(Value::Null), Err(TokenError::Undated));
    assert_eq!(of(json!(NOW - 161)), Err(TokenError::Stale));
    assert_eq!(of(json!(NOW + 61)), Err(TokenError::Early));
    assert_eq!(check(json!({ "auth_time": 1 })), Ok(()), "nobody has asked");
}
