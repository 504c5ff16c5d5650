//! What people are told by mail, and errands that are tried until they are done.

use foundation::testing::program::Program;
use foundation::testing::servers::{PASSWORD, Servers, wait_until};
use foundation::testing::smtp::{MailServer, Way};
use uuid::Uuid;

use crate::support::people;
use crate::support::stage::Stage;

async fn with_mail() -> (Stage, MailServer) {
    let servers = Servers::start();
    let mail = MailServer::start(&servers, Way::Wrapped).await;
    std::fs::write(servers.path("smtp-password"), PASSWORD).unwrap();
    let more = [
        ("SMTP_URL", format!("smtps://app@127.0.0.1:{}", mail.port)),
        ("SMTP_PASSWORD_FILE", servers.path("smtp-password").display().to_string()),
        ("MAIL_FROM", "Bastide <no-reply@example.test>".to_owned()),
    ];
    (Stage::on(servers, people::settings, &more).await, mail)
}

fn leave(stage: &Stage, letter: &str, due: &str, created: &str) -> Uuid {
    let id = Uuid::now_v7();
    stage.servers.sql(
        &format!(
            "INSERT INTO errands (id, kind, payload, created_at, due_at) VALUES ('{id}', 'mail', \
             '{{\"kind\": \"mail\", \"to\": \"ada@example.test\", \"letter\": \"{letter}\", \
             \"values\": {{\"provider\": \"GitHub\"}}}}', now() - interval '{created}', now() + interval '{due}')"
        ),
        "app",
    );
    id
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_letter_that_was_refused_for_now_is_sent_later() {
    let (stage, mail) = with_mail().await;
    mail.refuse_next("451 4.3.0 later");
    let id = leave(&stage, "identity_joined", "0", "1 minute");
    let failed = || stage.servers.sql("SELECT last_error FROM errands WHERE last_error IS NOT NULL", "app");
    wait_until("the errand to fail", || failed().contains("451"));
    let wait = "SELECT due_at - now() BETWEEN interval '5 s' AND interval '13 s' FROM errands";
    assert_eq!(stage.servers.sql(wait, "app"), "t");
    stage.servers.sql("UPDATE errands SET due_at = now()", "app");
    let received = mail.wait_for(1).await;
    assert_eq!(received[0].to, "RCPT TO:<ada@example.test>");
    for part in
        [&format!("Message-ID: <{id}@example.test>"), "Another way to sign in to id.example.test", "GitHub"]
    {
        assert!(received[0].data.contains(part), "{part}: {}", received[0].data);
    }
    wait_until("the errand to be done", || stage.count("errands") == "0");
    let metrics = stage.issuer.metrics().await;
    assert!(metrics.contains("identity_errands_total{kind=\"mail\",outcome=\"done\"} 1"), "{metrics}");
    assert!(metrics.contains("identity_errands_total{kind=\"mail\",outcome=\"failed\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn what_can_never_be_done_or_is_a_day_old_is_given_up_and_said() {
    let (stage, mail) = with_mail().await;
    mail.refuse_next("451 4.3.0 later");
    let old = leave(&stage, "identity_left", "0", "25 hours");
    wait_until("the old errand to be given up", || stage.count("errands") == "0");
    let unknown = leave(&stage, "surprise", "0", "0");
    wait_until("the unknown errand to be given up", || stage.count("errands") == "0");
    assert!(mail.received().is_empty());
    for id in [old, unknown] {
        let said = stage.issuer.log();
        let line = said.iter().find(|line| line["errand"] == id.to_string() && line["level"] == "error");
        assert!(line.is_some_and(|line| line.to_string().contains("an errand is given up")), "{said:#?}");
    }
    let metrics = stage.issuer.metrics().await;
    assert!(metrics.contains("identity_errands_total{kind=\"mail\",outcome=\"given_up\"} 2"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn several_processes_do_each_errand_once() {
    let (stage, mail) = with_mail().await;
    let second = stage.issuer.start_another(&stage.servers);
    second.wait_for_missing(&[]).await;
    for _ in 0..60 {
        leave(&stage, "identity_left", "2 s", "0");
    }
    mail.wait_for(60).await;
    wait_until("all errands to be done", || stage.count("errands") == "0");
    let received = mail.received();
    let ids: std::collections::BTreeSet<_> = received
        .iter()
        .map(|letter| letter.data.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned())
        .collect();
    assert_eq!((received.len(), ids.len()), (60, 60));
    let done = async |issuer: &Program| issuer.metrics().await.contains("outcome=\"done\"");
    assert!(done(&stage.issuer).await && done(&second).await, "both took part");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and PostgreSQL, PgBouncer and Valkey installed"]
async fn a_mail_server_that_hangs_holds_up_no_client() {
    let servers = Servers::start();
    // Whoever connects is never answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    std::fs::write(servers.path("smtp-password"), PASSWORD).unwrap();
    let more = [
        ("SMTP_URL", format!("smtps://app@127.0.0.1:{}", silent.local_addr().unwrap().port())),
        ("SMTP_PASSWORD_FILE", servers.path("smtp-password").display().to_string()),
        ("MAIL_FROM", "Bastide <no-reply@example.test>".to_owned()),
    ];
    let stage = Stage::on(servers, people::settings, &more).await;
    for _ in 0..12 {
        leave(&stage, "identity_left", "0", "0");
    }
    wait_until("the letters to be tried", || stage.count("errands WHERE attempts > 0") != "0");
    stage.servers.sql(
        &format!(
            "INSERT INTO errands (id, kind, payload, created_at, due_at) VALUES ('{0}', 'back_channel_logout', \
             '{{\"kind\": \"back_channel_logout\", \"client_id\": \"app\", \"account\": \"{0}\", \
             \"session\": \"{0}\"}}', now(), now())",
            Uuid::now_v7()
        ),
        "app",
    );
    let tried = "errands WHERE kind = 'back_channel_logout' AND last_error IS NOT NULL";
    wait_until("the client to be told", || stage.count(tried) == "1");
    assert_eq!(
        stage.count("errands WHERE kind = 'mail' AND last_error IS NOT NULL"),
        "0",
        "no letter has ended yet"
    );
}
