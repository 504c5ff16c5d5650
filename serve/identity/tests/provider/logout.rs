use axum::http::Method;
use foundation::testing::program::Answer;

use crate::scene::{BYE, FORM, Person, Scene, encoded};
use crate::support::stage::ISSUER;

async fn logout(scene: &Scene, person: Option<&Person>, parameters: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = person.iter().map(|person| ("cookie", person.cookie.as_str())).collect();
    scene.stage.issuer.ask(Method::GET, &format!("/logout?{}", encoded(parameters)), &headers).await
}

fn is_signed_in(scene: &Scene, person: &Person) -> bool {
    scene.stage.count(&format!("browser_sessions WHERE id = '{}'", person.session)) == "1"
}

async fn hint(scene: &Scene, person: &Person) -> String {
    scene.tokens(person, &[]).await["id_token"].as_str().unwrap().to_owned()
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_session_signs_its_person_out_everywhere() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let tokens = scene.tokens(&ada, &[]).await;
    let hint = tokens["id_token"].as_str().unwrap();
    let other = [("client_id", "other app"), ("redirect_uri", "https://other.example.test/callback")];
    scene.code(&ada, &other).await;
    let old = [("client_id", "old"), ("redirect_uri", "https://old.example.test/callback")];
    scene.code(&ada, &old).await;
    let parameters = [("id_token_hint", hint), ("post_logout_redirect_uri", BYE), ("state", "a b")];
    let answer = logout(&scene, Some(&ada), &parameters).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, &*format!("{BYE}?state=a+b")));
    assert!(
        answer.header("set-cookie").starts_with("__Host-session=; ")
            && answer.header("set-cookie").contains("Max-Age=0")
    );
    assert!(!is_signed_in(&scene, &ada));
    assert_eq!(scene.userinfo(tokens["access_token"].as_str().unwrap()).await.status, 401);
    assert_eq!(scene.stage.count("grants WHERE ended_because = 'signed-out'"), "3");
    // Those are told that want to know.
    let told = scene
        .sql("SELECT string_agg(payload->>'client_id', ', ' ORDER BY payload->>'client_id') FROM errands");
    assert_eq!(told, "app, other app");
    let session =
        scene.sql("SELECT DISTINCT payload->>'session' FROM errands WHERE kind = 'back_channel_logout'");
    assert_eq!(session, ada.session.to_string());
    assert_eq!(scene.audited("session.end").trim(), "success");
    // Once more, with the token of the session that has ended.
    let answer = logout(&scene, Some(&ada), &parameters).await;
    assert_eq!(answer.header("location"), format!("{BYE}?state=a+b"));
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_prove_it_makes_the_person_ask() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(), scene.person());
    let (adas, bobs) = (hint(&scene, &ada).await, hint(&scene, &bob).await);
    let elsewhere = scene.sign_in(ada.account);
    for (person, parameters) in [
        (&ada, vec![]),
        (&ada, vec![("client_id", "app")]),
        (&ada, vec![("client_id", "app"), ("post_logout_redirect_uri", BYE)]),
        (&ada, vec![("id_token_hint", bobs.as_str())]),
        (&elsewhere, vec![("id_token_hint", adas.as_str())]),
    ] {
        let answer = logout(&scene, Some(person), &parameters).await;
        assert_eq!(answer.status, 200, "{parameters:?}: {}", answer.text);
        assert!(answer.text.contains(r#"id="logout""#) && answer.header("set-cookie").is_empty());
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert!(is_signed_in(&scene, person));
    }
    let parameters = [("client_id", "app"), ("post_logout_redirect_uri", BYE), ("state", "\"><script>")];
    let question = logout(&scene, Some(&ada), &parameters).await;
    assert!(question.text.contains("The App") && !question.text.contains("<script>"));
    assert!(
        question.header("content-security-policy").contains("form-action 'self' https://app.example.test;")
    );
    let token =
        question.text.split(r#"name="csrf_token" value=""#).nth(1).unwrap().split('"').next().unwrap();
    let answer_as = |person: &Person, token: &str, origin: &str| {
        let (fields, cookie) = ([&parameters[..], &[("csrf_token", token)]].concat(), person.cookie.clone());
        let (body, origin, scene) = (encoded(&fields), origin.to_owned(), &scene);
        async move {
            let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str()), FORM];
            scene.stage.issuer.send(Method::POST, "/logout", &headers, &body).await
        }
    };
    for (person, token, origin) in
        [(&ada, token, "https://evil.example"), (&ada, "forged", ISSUER), (&bob, token, ISSUER)]
    {
        assert_eq!(answer_as(person, token, origin).await.status, 403);
        assert!(is_signed_in(&scene, person));
    }
    let answer = answer_as(&ada, token, ISSUER).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, &*format!("{BYE}?state=%22%3E%3Cscript%3E"))
    );
    assert!(!is_signed_in(&scene, &ada) && is_signed_in(&scene, &bob));
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_where_the_client_has_not_said() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let tokens = scene.tokens(&ada, &[]).await;
    let hint = tokens["id_token"].as_str().unwrap();
    let (head, signature) = hint.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    for parameters in [
        vec![("id_token_hint", hint), ("post_logout_redirect_uri", "https://evil.example/")],
        vec![("id_token_hint", hint), ("post_logout_redirect_uri", "https://app.example.test/bye?x=y")],
        vec![("id_token_hint", hint), ("post_logout_redirect_uri", "https://other.example.test/bye")],
        vec![("post_logout_redirect_uri", BYE)],
        vec![("client_id", "nobody"), ("post_logout_redirect_uri", BYE)],
        vec![("id_token_hint", hint), ("client_id", "other app")],
        vec![("id_token_hint", forged.as_str()), ("post_logout_redirect_uri", BYE)],
        vec![("id_token_hint", "nonsense")],
        vec![("id_token_hint", tokens["access_token"].as_str().unwrap())],
        vec![("state", "1"), ("state", "2")],
    ] {
        let answer = logout(&scene, Some(&ada), &parameters).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{parameters:?}");
        assert!(is_signed_in(&scene, &ada), "{parameters:?}");
    }
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_form_leads_to_the_same_question() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let hint = hint(&scene, &ada).await;
    let form = encoded(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]);
    // As browsers send it from a page of the client: without the session's cookie.
    let answer = scene.stage.issuer.send(Method::POST, "/logout", &[FORM], &form).await;
    assert_eq!(answer.status, 303);
    assert!(is_signed_in(&scene, &ada));
    let next = answer.header("location").to_owned();
    let answer = scene.stage.issuer.ask(Method::GET, &next, &[("cookie", &ada.cookie)]).await;
    assert_eq!(answer.header("location"), BYE);
    assert!(!is_signed_in(&scene, &ada));
}

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_for_the_time_when_the_person_is_away_stays() {
    let scene = Scene::new().await;
    let ada = scene.person();
    let tokens = scene.tokens(&ada, &[("scope", "openid offline_access")]).await;
    logout(&scene, Some(&ada), &[("id_token_hint", tokens["id_token"].as_str().unwrap())]).await;
    assert!(!is_signed_in(&scene, &ada));
    assert_eq!(scene.stage.count("errands"), "1", "the client is told all the same");
    let refresh =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    assert_eq!(scene.post_as("app", "/token", &refresh).await.status, 200);
}
