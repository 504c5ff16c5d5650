//! Against a real PostgreSQL, of whatever version the machine has.

use super::*;
use crate::probe::testing::{Authority, HERE, serve_bytes};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A cluster of its own, on a port of its own, until dropped.
struct Cluster {
    port: u16,
    directory: tempfile::TempDir,
    authority: Authority,
}

/// Each user may come in one way only.
const HBA: &str = "local all postgres peer
hostssl all scram 127.0.0.1/32 scram-sha-256
hostssl all hashed 127.0.0.1/32 md5
hostssl all clear 127.0.0.1/32 password
hostssl all open 127.0.0.1/32 trust
";

const ROLES: &str = "SET password_encryption = 'scram-sha-256'; CREATE ROLE scram LOGIN PASSWORD 'right';
CREATE ROLE clear LOGIN PASSWORD 'right'; CREATE ROLE open LOGIN;
SET password_encryption = 'md5'; CREATE ROLE hashed LOGIN PASSWORD 'right';";

impl Cluster {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port();
        let authority = Authority::new();
        let data = directory.path().join("data");
        run(Command::new("chown").arg("postgres").arg(directory.path()));
        run(as_postgres(&program("initdb")).arg("--no-sync").arg("-D").arg(&data));
        let (certificate, key) = authority.issue("db.test");
        std::fs::write(data.join("server.crt"), certificate).unwrap();
        std::fs::write(data.join("server.key"), key).unwrap();
        std::fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        run(Command::new("chown").arg("-R").arg("postgres").arg(&data));
        run(Command::new("chmod").arg("600").arg(data.join("server.key")));
        let options = format!(
            "-c port={port} -c listen_addresses=127.0.0.1 -c ssl=on -c fsync=off -c unix_socket_directories={}",
            data.display()
        );
        let mut start = as_postgres(&program("pg_ctl"));
        run(start.args(["-w", "-o", &options, "-l"]).arg(data.join("log")).arg("-D").arg(&data).arg("start"));
        let mut psql = as_postgres(Path::new("psql"));
        run(psql.args(["-p", &port.to_string(), "-c", ROLES, "-h"]).arg(&data).arg("postgres"));
        Self { port, directory, authority }
    }

    fn probe(&self, user: &str) -> Postgres {
        let tls = PostgresTls::Tls { trust: self.authority.trust(), server_name: "db.test".to_owned() };
        Postgres::new(HERE, self.port, user, "postgres", tls)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.directory.path().join("data");
        run(as_postgres(&program("pg_ctl")).args(["-m", "immediate", "-D"]).arg(data).arg("stop"));
    }
}

/// Where Debian keeps the server's programs, newest version first.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let mut versions: Vec<PathBuf> = versions.map(|version| version.unwrap().path()).collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is installed").join("bin").join(name)
}

fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert!(output.success(), "{command:?}");
}

async fn attempt(probe: Postgres) -> Attempt<PostgresSession> {
    probe.execute().await.unwrap()
}

#[tokio::test]
#[ignore = "needs root and PostgreSQL"]
async fn a_real_server_is_seen_as_it_is() {
    let cluster = Cluster::start();
    every_method_is_told_apart(&cluster).await;
    refusals_say_why(&cluster).await;
    queries_are_answered(&cluster).await;
    connections_are_open_together(&cluster).await;
}

async fn every_method_is_told_apart(cluster: &Cluster) {
    for (user, asked) in [
        ("scram", Authentication::Scram),
        ("hashed", Authentication::Md5),
        ("clear", Authentication::Cleartext),
        ("open", Authentication::Trust),
    ] {
        let session = attempt(cluster.probe(user).password("right")).await.unwrap();
        assert_eq!(session.authentication, asked, "{user}");
        assert!(session.parameters.contains_key("server_version"));
        let without = attempt(cluster.probe(user)).await;
        match (asked, without) {
            (Authentication::Trust, without) => assert!(without.is_ok()),
            (_, without) => assert_eq!(without.unwrap_err().asked, Some(asked.to_string()), "{user}"),
        }
    }
}

async fn refusals_say_why(cluster: &Cluster) {
    let wrong = attempt(cluster.probe("scram").password("wrong")).await.unwrap_err();
    assert_eq!((wrong.stage, wrong.code.as_deref()), (Stage::Authentication, Some("28P01")), "{wrong}");
    let mut plain = cluster.probe("scram").password("right");
    plain.tls = PostgresTls::Plain;
    let plain = attempt(plain).await.unwrap_err();
    assert_eq!((plain.stage, plain.code.as_deref()), (Stage::Authentication, Some("28000")), "{plain}");
    assert!(plain.reason.contains("no encryption"), "{plain}");
    let mut stranger = cluster.probe("scram").password("right");
    stranger.tls = PostgresTls::Tls { trust: Authority::new().trust(), server_name: "db.test".to_owned() };
    assert_eq!(attempt(stranger).await.unwrap_err().stage, Stage::Tls);
    let mut elsewhere = cluster.probe("scram").password("right");
    elsewhere.tls =
        PostgresTls::Tls { trust: cluster.authority.trust(), server_name: "cache.test".to_owned() };
    assert_eq!(attempt(elsewhere).await.unwrap_err().stage, Stage::Tls);
}

async fn queries_are_answered(cluster: &Cluster) {
    let probe = cluster
        .probe("scram")
        .password("right")
        .query("SELECT current_user, NULL")
        .query("SELECT 1/0")
        .prepared("SELECT $1::int + 1", &["41"], 2);
    let session = attempt(probe).await.unwrap();
    assert_eq!(session.answers[0][0], Answer::Rows(vec![vec![Some("scram".to_owned()), None]]));
    assert_eq!(session.error().map(|(code, _)| code), Some("22012"));
    assert_eq!((session.value(2), session.value(3)), (Some("42"), Some("42")));
}

async fn connections_are_open_together(cluster: &Cluster) {
    let probe = cluster
        .probe("scram")
        .password("right")
        .connections(8)
        .query("SELECT pg_backend_pid()")
        .prepared("SELECT $1", &["number {connection}"], 1);
    let session = attempt(probe).await.unwrap();
    let column = |n: usize| -> std::collections::BTreeSet<&Answer> {
        session.answers.iter().map(|answers| &answers[n]).collect()
    };
    assert_eq!((session.answers.len(), column(0).len(), column(1).len()), (8, 8, 8));
    assert_eq!(session.answers[3][1], Answer::Rows(vec![vec![Some("number 3".to_owned())]]));
}

#[tokio::test]
async fn who_does_not_speak_the_protocol_is_no_session() {
    let server = serve_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    let probe = Postgres::new(server.ip(), server.port(), "app", "app", PostgresTls::Plain);
    assert_eq!(attempt(probe).await.unwrap_err().stage, Stage::Protocol);
}
