use foundation::testing::servers::wait_until;
use serde_json::Value;

use crate::scene::Scene;

#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_reads_what_was_done_and_proves_that_it_is_so() {
    let scene = Scene::new().await;
    let ada = scene.person();
    scene.tokens(&ada, &[]).await;
    let run = |arguments: &[&str]| {
        let output = scene.stage.issuer.run(&[&["audit"], arguments].concat());
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let by = ada.account.to_string();
    let (code, listed) = run(&["list", "--action", "grant.begin", "--by", &by]);
    assert_eq!((code, listed.lines().count()), (0, 1));
    assert!(listed.contains(&format!("by person {by} from ")), "{listed}");
    let (_, listed) = run(&["list", "--json", "--most", "1"]);
    let newest: Value = serde_json::from_str(&listed).unwrap();
    assert!(newest["action"].is_string() && newest["changes"].is_object(), "{listed}");

    let verified = || serde_json::from_str::<Value>(&run(&["verify"]).1).unwrap();
    // The serving process seals by itself.
    wait_until("the log to be sealed", || verified()["head"].is_object());
    let found = verified();
    assert_eq!((&found["intact"], &found["complete"]), (&true.into(), &true.into()));
    let head = format!("{}:{}", found["head"]["number"], found["head"]["hash"].as_str().unwrap());
    assert_eq!(run(&["verify", "--known", &head]).0, 0);
    let other = format!("{}:{}", found["head"]["number"], "0".repeat(64));
    assert_eq!(run(&["verify", "--known", &other]).0, 4);
    assert_eq!(run(&["verify", "--known", "1"]).0, 2);
    // Whoever changes what was done is found out.
    scene.sql("UPDATE audit_events SET actor_id = gen_random_uuid() WHERE action = 'signing-key.create'");
    let (code, said) = run(&["verify"]);
    assert!(code == 4 && said.contains("event-changed"), "{code} {said}");
}
