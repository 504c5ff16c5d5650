use std::time::Duration;

use login_providers::{COMPANY, CONSUMERS, Fault, Proof, Provider, Registration, STRICT_COMPANY};
use serde_json::{Value, json};

use crate::scene::*;

const MICROSOFT: Provider = Provider::Microsoft;
const QUESTION: [(&str, &str); 8] = [
    ("response_type", "code"),
    ("client_id", CLIENT),
    ("redirect_uri", BACK),
    ("scope", "openid email profile offline_access"),
    ("state", "st"),
    ("nonce", "no"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

fn auth(tenant: &str) -> String {
    format!("/{tenant}/oauth2/v2.0/authorize")
}

fn token(tenant: &str) -> String {
    format!("/{tenant}/oauth2/v2.0/token")
}

async fn code(scene: &Scene, tenant: &str) -> String {
    given(&scene.get(MICROSOFT, &auth(tenant), &QUESTION).await, "code").unwrap()
}

fn redemption(code: &str) -> Pairs<'_> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ]
}

fn error(answer: &Value) -> String {
    let description = answer["error_description"].as_str().unwrap_or_default();
    description.split(':').next().unwrap().to_owned()
}

#[tokio::test]
async fn each_tenant_has_its_issuer() {
    let scene = Scene::with_secret(MICROSOFT).await;
    let origin = scene.providers.origin(MICROSOFT);
    for (tenant, named) in [
        ("common", "{tenantid}"),
        ("organizations", "{tenantid}"),
        ("consumers", CONSUMERS),
        (COMPANY, COMPANY),
    ] {
        let path = format!("/{tenant}/v2.0/.well-known/openid-configuration");
        let description = scene.get(MICROSOFT, &path, &[]).await.json();
        assert_eq!(description["issuer"], json!(format!("{origin}/{named}/v2.0")));
        assert_eq!(description["token_endpoint"], json!(format!("{origin}{}", token(tenant))));
    }
    let nobody = scene.get(MICROSOFT, "/nobody.example/v2.0/.well-known/openid-configuration", &[]).await;
    assert_eq!(error(&nobody.json()), "AADSTS90002");
    for tenant in [COMPANY, CONSUMERS] {
        scene.providers.change(MICROSOFT, "ada", &json!({"tenant": tenant})).unwrap();
        let code = code(&scene, "common").await;
        let answer = scene.post(MICROSOFT, &token("common"), &redemption(&code)).await.json();
        let said = claims(answer["id_token"].as_str().unwrap());
        assert_eq!((&said["tid"], &said["iss"]), (&json!(tenant), &json!(format!("{origin}/{tenant}/v2.0"))));
        assert!(
            said["oid"].is_string() && said.get("email_verified").is_none() && said.get("xms_edov").is_none()
        );
        assert_ne!(said["sub"], said["oid"]);
    }
    let keys = scene.get(MICROSOFT, "/common/discovery/v2.0/keys", &[]).await.json();
    let issuers: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["issuer"].clone()).collect();
    assert_eq!(issuers, [format!("{origin}/{CONSUMERS}/v2.0"), format!("{origin}/{{tenantid}}/v2.0")]);
}

#[tokio::test]
async fn tenants_decide_who_may_sign_in() {
    let scene = Scene::with_secret(MICROSOFT).await;
    let told = async |endpoint: &str, tenant: &str| {
        scene.providers.change(MICROSOFT, "ada", &json!({"tenant": tenant})).unwrap();
        scene.get(MICROSOFT, &auth(endpoint), &QUESTION).await
    };
    for (endpoint, tenant) in [
        ("consumers", COMPANY),
        ("organizations", CONSUMERS),
        (COMPANY, CONSUMERS),
        (COMPANY, STRICT_COMPANY),
    ] {
        let answer = told(endpoint, tenant).await;
        assert!(answer.status == 400 && answer.text.contains("AADSTS50020"), "{endpoint} {tenant}");
    }
    let strict = told("common", STRICT_COMPANY).await;
    assert_eq!(given(&strict, "error").as_deref(), Some("access_denied"));
    assert!(given(&strict, "error_description").unwrap().starts_with("AADSTS90094"));
    scene.providers.change(MICROSOFT, "ada", &json!({"refuses": true})).unwrap();
    let refused = told("common", COMPANY).await;
    assert!(given(&refused, "error_description").unwrap().starts_with("AADSTS65004"));
}

#[tokio::test]
async fn questions_and_codes_that_are_not_in_order_are_refused() {
    let scene = Scene::with_secret(MICROSOFT).await;
    for (name, value, said) in [
        ("client_id", "nobody", "AADSTS700016"),
        ("redirect_uri", "https://id.example.test/callback/", "AADSTS50011"),
        ("scope", "email", "AADSTS900144"),
        ("response_type", "", "AADSTS900144"),
        ("code_challenge_method", "plain", "AADSTS501491"),
    ] {
        let answer = scene.get(MICROSOFT, &auth("common"), &with(&QUESTION, &[(name, value)])).await;
        assert!(answer.status == 400 && answer.text.contains(said), "{name}: {}", answer.text);
    }
    for (name, value, said) in [
        ("client_secret", "wrong", "AADSTS7000215"),
        ("client_id", "nobody", "AADSTS700016"),
        ("code", "guessed", "AADSTS70008"),
        ("redirect_uri", "https://id.example.test/other", "AADSTS500112"),
        ("code_verifier", "wrong", "AADSTS501481"),
        ("code_verifier", "", "AADSTS501481"),
        ("grant_type", "password", "AADSTS70003"),
    ] {
        let code = code(&scene, "common").await;
        let pairs = with(&redemption(&code), &[(name, value)]);
        let answer = scene.post(MICROSOFT, &token("common"), &pairs).await.json();
        assert_eq!(error(&answer), said, "{name}");
    }
    let code = code(&scene, "common").await;
    assert_eq!(scene.post(MICROSOFT, &token("common"), &redemption(&code)).await.status, 200);
    let again = scene.post(MICROSOFT, &token("common"), &redemption(&code)).await.json();
    assert_eq!(error(&again), "AADSTS70008");
    let proof = Proof::Secret("another".to_owned());
    scene.providers.register(MICROSOFT, Registration::new("another", BACK, proof));
    let code = self::code(&scene, "common").await;
    let another = with(&redemption(&code), &[("client_id", "another"), ("client_secret", "another")]);
    assert_eq!(error(&scene.post(MICROSOFT, &token("common"), &another).await.json()), "AADSTS70008");
    let late = self::code(&scene, "common").await;
    scene.providers.advance(Duration::from_secs(600));
    assert_eq!(
        error(&scene.post(MICROSOFT, &token("common"), &redemption(&late)).await.json()),
        "AADSTS70008"
    );
}

#[tokio::test]
async fn an_assertion_is_believed_by_its_certificate_audience_and_time() {
    let scene = Scene::new().await;
    let (certified, other) = (Certified::new(), Certified::new());
    let proof = Proof::Certificate(certified.certificate.clone());
    let registration = Registration { tells_edov: true, ..Registration::new(CLIENT, BACK, proof) };
    scene.providers.register(MICROSOFT, registration);
    scene.providers.awaits(MICROSOFT, Some("ada"));
    let audience = format!("{}{}", scene.providers.origin(MICROSOFT), token("common"));
    let now = now();
    let good = json!({
        "aud": audience, "iss": CLIENT, "sub": CLIENT, "jti": "1", "nbf": now, "iat": now, "exp": now + 300
    });
    let changed = |changes: Value| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        certified.ps256(&json!({}), &claims)
    };
    let redeem = async |assertion: &str| {
        let code = code(&scene, "common").await;
        let changes = [
            ("client_secret", ""),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        scene.post(MICROSOFT, &token("common"), &with(&redemption(&code), &changes)).await.json()
    };
    let answer = redeem(&changed(json!({}))).await;
    let said = claims(answer["id_token"].as_str().unwrap_or_else(|| panic!("{answer}")));
    assert_eq!(said["xms_edov"], true);
    let pkcs1 = &aws_lc_rs::signature::RSA_PKCS1_SHA256;
    let by_other_algorithm =
        certified.token(&json!({"alg": "RS256", "x5t#S256": certified.thumbprint}), &good, pkcs1);
    for (assertion, said) in [
        (changed(json!({"aud": "https://login.example/token"})), "AADSTS700023"),
        (changed(json!({"aud": audience.replace("common", "organizations")})), "AADSTS700023"),
        (changed(json!({"iss": "another"})), "AADSTS700021"),
        (changed(json!({"sub": "another"})), "AADSTS700021"),
        (changed(json!({"exp": now - 1})), "AADSTS700024"),
        (changed(json!({"exp": now + 601})), "AADSTS700024"),
        (changed(json!({"nbf": now + 120, "exp": now + 300})), "AADSTS700024"),
        (changed(json!({"exp": null})), "AADSTS700024"),
        (changed(json!({"jti": ""})), "AADSTS50027"),
        (certified.ps256(&json!({"x5t#S256": other.thumbprint}), &good), "AADSTS700027"),
        (certified.ps256(&json!({"x5t#S256": null}), &good), "AADSTS700027"),
        (other.ps256(&json!({"x5t#S256": certified.thumbprint}), &good), "AADSTS700027"),
        (by_other_algorithm, "AADSTS700027"),
        ("no token".to_owned(), "AADSTS700027"),
    ] {
        assert_eq!(error(&redeem(&assertion).await), said);
    }
    let secret = scene.post(MICROSOFT, &token("common"), &redemption(&code(&scene, "common").await)).await;
    assert_eq!(error(&secret.json()), "AADSTS7000218");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_forged_tenants_are_forged() {
    let scene = Scene::with_secret(MICROSOFT).await;
    let answer =
        scene.post(MICROSOFT, &token("common"), &redemption(&code(&scene, "common").await)).await.json();
    let refresh = answer["refresh_token"].as_str().unwrap();
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("refresh_token", refresh),
    ];
    assert_ne!(scene.post(MICROSOFT, &token("common"), &pairs).await.json()["refresh_token"], refresh);
    assert_eq!(error(&scene.post(MICROSOFT, &token("common"), &pairs).await.json()), "AADSTS700082");
    scene.providers.does_wrong(MICROSOFT, Some(Fault::ForgedTenant));
    let answer =
        scene.post(MICROSOFT, &token("common"), &redemption(&code(&scene, "common").await)).await.json();
    let said = claims(answer["id_token"].as_str().unwrap());
    assert!(said["tid"] == CONSUMERS && said["iss"].as_str().unwrap().contains(COMPANY));
}
