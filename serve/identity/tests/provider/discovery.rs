use crate::scene::Scene;
use crate::support::stage::ISSUER;

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_says_of_itself_what_it_does() {
    let scene = Scene::new().await;
    let issuer = &scene.stage.issuer;
    let answer = issuer.get("/.well-known/openid-configuration").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    let description = answer.json();
    assert_eq!(description["issuer"], ISSUER);
    // Everything that it names is there.
    for (name, path) in [
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/token"),
        ("userinfo_endpoint", "/userinfo"),
        ("jwks_uri", "/keys"),
        ("introspection_endpoint", "/introspect"),
        ("revocation_endpoint", "/revoke"),
        ("end_session_endpoint", "/logout"),
    ] {
        assert_eq!(description[name], format!("{ISSUER}{path}"));
        assert_ne!(issuer.get(path).await.status, 404, "{path}");
    }
    assert_eq!(description["response_types_supported"], serde_json::json!(["code"]));
    assert_eq!(description["id_token_signing_alg_values_supported"], serde_json::json!(["ES256", "RS256"]));
    assert_eq!(description["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(description["request_uri_parameter_supported"], false);
    assert_eq!(description["authorization_response_iss_parameter_supported"], true);
    assert_eq!(description["backchannel_logout_session_supported"], true);
    let other = issuer.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(other.text, answer.text);

    let answer = issuer.get("/keys").await;
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    let keys = answer.json();
    let algorithms: Vec<&str> =
        keys["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap()).collect();
    assert_eq!(
        (algorithms.len(), algorithms.contains(&"ES256"), algorithms.contains(&"RS256")),
        (2, true, true)
    );
    for key in keys["keys"].as_array().unwrap() {
        assert_eq!(key["use"], "sig");
        for private in ["d", "p", "q", "dp", "dq", "qi"] {
            assert!(key.get(private).is_none());
        }
    }
}
