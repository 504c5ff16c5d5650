//! Real PostgreSQL, PgBouncer and Valkeys on the loopback, with TLS and passwords as the platform sets them up.
//!
//! The servers are Debian's: packages `postgresql`, `pgbouncer` (1.21 or newer) and `valkey-server`. They are started
//! with `chroot` as user `postgres`, so the tests run as root. `APP_TEST_ROOT` names another root directory that has
//! the packages, for machines whose own are too old; the machine's own root is the default.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub const PASSWORD: &str = "correct-horse-battery-staple";
/// What the platform lets the application do (`operate/components/src/valkey.rs`).
const APP_RULES: &str = "~app:* resetchannels &app:* -@all +@read +@write +@connection +@transaction +publish +subscribe \
     +unsubscribe +psubscribe +punsubscribe +eval +evalsha +script|load +script|exists -@admin -@dangerous -scan \
     -randomkey -swapdb -move";
const DEADLINE: Duration = Duration::from_secs(30);

/// One of the servers that a test may stop and start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Postgres,
    PgBouncer,
    Durable,
    Cache,
}

const ALL: [Server; 4] = [Server::Postgres, Server::PgBouncer, Server::Durable, Server::Cache];

/// The four servers, their files and their certificates.
pub struct Servers {
    root: PathBuf,
    directory: TempDir,
    postgres_bin: String,
    ports: [u16; 4],
    running: [Option<Child>; 4],
}

impl Servers {
    /// Starts all four, with an empty database `app` of role `owner` and a role `app`.
    pub fn start() -> Self {
        let root = PathBuf::from(std::env::var_os("APP_TEST_ROOT").unwrap_or_else(|| "/".into()));
        let directory = tempfile::Builder::new().prefix("app-test-").tempdir_in(root.join("tmp")).unwrap();
        let postgres_bin = newest_postgres(&root);
        let ports = free_ports();
        let mut servers = Self { root, directory, postgres_bin, ports, running: [const { None }; 4] };
        servers.write_files();
        servers.copy_cluster();
        for server in ALL {
            servers.start_one(server);
        }
        servers
    }

    pub fn port(&self, server: Server) -> u16 {
        self.ports[server as usize]
    }

    /// A file of the test's directory, as this machine sees it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same file, as the servers in their root see it.
    fn inside(&self, name: &str) -> String {
        let path = self.path(name);
        format!("/{}", path.strip_prefix(&self.root).unwrap().display())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg("--userspec=postgres:postgres").arg(&self.root).arg(program);
        command.env("LC_ALL", "C").env("HOME", "/tmp").current_dir("/");
        command
    }

    fn write_files(&self) {
        let authority = authority("private hops");
        std::fs::write(self.path("ca.pem"), authority.pem()).unwrap();
        std::fs::write(self.path("other-ca.pem"), self::authority("somebody else").pem()).unwrap();
        std::fs::write(self.path("password"), format!("{PASSWORD}\n")).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(self.path("server.pem"), certificate.pem()).unwrap();
        std::fs::write(self.path("server.key"), key.serialize_pem()).unwrap();
        std::fs::write(
            self.path("pg_hba.conf"),
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
        )
        .unwrap();
        std::fs::write(self.path("userlist.txt"), format!("\"app\" \"{PASSWORD}\"\n")).unwrap();
        std::fs::write(
            self.path("users.acl"),
            format!(
                "user default off\nuser app on >{PASSWORD} {APP_RULES}\nuser admin on >{PASSWORD} ~* +@all\n"
            ),
        )
        .unwrap();
        std::fs::write(self.path("pgbouncer.ini"), self.pgbouncer_settings()).unwrap();
        let (user, group) = postgres_ids(&self.root);
        for entry in std::fs::read_dir(self.directory.path()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            chown(&path, Some(user), Some(group)).unwrap();
        }
        chown(self.directory.path(), Some(user), Some(group)).unwrap();
    }

    /// Fewer server connections than clients, so that prepared statements move between them.
    fn pgbouncer_settings(&self) -> String {
        let (ca, certificate, key) =
            (self.inside("ca.pem"), self.inside("server.pem"), self.inside("server.key"));
        format!(
            "[databases]\napp = host=127.0.0.1 port={} dbname=app\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             pool_mode = transaction\nmax_prepared_statements = 200\ndefault_pool_size = 2\n\
             server_login_retry = 1\nserver_tls_sslmode = verify-full\nserver_tls_ca_file = {ca}\n\
             client_tls_sslmode = require\nclient_tls_ca_file = {ca}\nclient_tls_cert_file = {certificate}\nclient_tls_key_file = {key}\n",
            self.port(Server::Postgres),
            self.port(Server::PgBouncer),
            self.inside("userlist.txt"),
        )
    }

    /// A cluster of its own for this test: a copy of the one that the first test of the process made.
    fn copy_cluster(&mut self) {
        static FIRST: OnceLock<TempDir> = OnceLock::new();
        let first = FIRST.get_or_init(|| {
            self.create_cluster();
            let kept = tempfile::Builder::new().prefix("app-test-cluster-").tempdir_in(self.root.join("tmp"));
            let kept = kept.unwrap();
            std::fs::rename(self.path("data"), kept.path().join("data")).unwrap();
            kept
        });
        let mut copy = Command::new("cp");
        let copied = copy.arg("--archive").arg(first.path().join("data")).arg(self.path("data")).status();
        assert!(copied.unwrap().success(), "copying the cluster");
    }

    fn create_cluster(&mut self) {
        let initialized = self
            .command(&format!("{}/initdb", self.postgres_bin))
            .args(["--auth=trust", "--no-sync", "-D", &self.inside("data")])
            .output()
            .unwrap();
        assert!(initialized.status.success(), "initdb: {}", String::from_utf8_lossy(&initialized.stderr));
        self.start_one(Server::Postgres);
        for statement in [
            &format!("CREATE ROLE owner LOGIN PASSWORD '{PASSWORD}'"),
            &format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"),
            "CREATE DATABASE app OWNER owner",
        ] {
            self.sql(statement, "postgres");
        }
        self.stop_one(Server::Postgres);
    }

    /// Starts one server and waits until it accepts connections.
    pub fn start_one(&mut self, server: Server) {
        let port = self.port(server).to_string();
        let mut command = match server {
            Server::Postgres => self.postgres(&port),
            Server::PgBouncer => {
                let mut command = self.command("/usr/sbin/pgbouncer");
                command.arg(self.inside("pgbouncer.ini"));
                command
            }
            Server::Durable | Server::Cache => self.valkey(&port),
        };
        let log = std::fs::File::options().create(true).append(true).open(self.path("servers.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.running[server as usize] = Some(command.spawn().unwrap());
        let address = format!("127.0.0.1:{port}");
        let log = self.path("servers.log");
        let running = &mut self.running[server as usize];
        wait_until("a server to accept connections", || {
            let exited = running.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(exited.is_none(), "a server did not start: {}", std::fs::read_to_string(&log).unwrap());
            std::net::TcpStream::connect(&address).is_ok()
        });
        if server == Server::Postgres {
            // It listens before it has started.
            wait_until("PostgreSQL to have started", || {
                self.sql_as("postgres", "SELECT 1", "postgres").is_ok()
            });
        }
    }

    fn postgres(&self, port: &str) -> Command {
        let mut command = self.command(&format!("{}/postgres", self.postgres_bin));
        command.args(["-D", &self.inside("data"), "-p", port]);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", self.inside("")),
            format!("hba_file={}", self.inside("pg_hba.conf")),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", self.inside("server.pem")),
            format!("ssl_key_file={}", self.inside("server.key")),
            "dynamic_shared_memory_type=mmap".to_owned(),
            "fsync=off".to_owned(),
        ] {
            command.args(["-c", &setting]);
        }
        command
    }

    fn valkey(&self, port: &str) -> Command {
        let program = ["/usr/bin/valkey-server", "/usr/bin/redis-server"]
            .into_iter()
            .find(|program| self.root.join(&program[1..]).exists())
            .expect("install the package valkey-server");
        let mut command = self.command(program);
        command.args(["--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--dir", &self.inside(""), "--aclfile", &self.inside("users.acl")]);
        command.args([
            "--tls-cert-file",
            &self.inside("server.pem"),
            "--tls-key-file",
            &self.inside("server.key"),
        ]);
        command.args(["--tls-ca-cert-file", &self.inside("ca.pem"), "--tls-auth-clients", "no"]);
        command
    }

    /// Stops one server and waits until it is gone.
    pub fn stop_one(&mut self, server: Server) {
        if let Some(mut child) = self.running[server as usize].take() {
            let signal = if server == Server::Postgres { Signal::INT } else { Signal::KILL };
            if child.try_wait().unwrap().is_none() {
                send(&child, signal);
                child.wait().unwrap();
            }
        }
    }

    /// Freezes or thaws one server: its connections stay open and nothing answers.
    pub fn freeze(&self, server: Server, frozen: bool) {
        let child = self.running[server as usize].as_ref().unwrap();
        send(child, if frozen { Signal::STOP } else { Signal::CONT });
    }

    fn psql(&self, role: &str, database: &str) -> Command {
        let mut command = self.command(&format!("{}/psql", self.postgres_bin));
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", &self.inside(""), "-U", role, "-d", database]);
        command.args(["-p", &self.port(Server::Postgres).to_string()]);
        command
    }

    /// Runs one statement as the superuser and returns what it printed.
    pub fn sql(&self, statement: &str, database: &str) -> String {
        self.sql_as("postgres", statement, database).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// Runs statements in one transaction as `role` and returns what they printed, or what the server said to it.
    pub fn sql_as(&self, role: &str, statements: &str, database: &str) -> Result<String, String> {
        let output = self.psql(role, database).args(["-c", statements]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Keeps everybody else out of a table until released.
    pub fn lock(&self, table: &str) -> TableLock {
        let mut child =
            self.psql("postgres", "app").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        writeln!(input, "BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;\n\\echo locked").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "locked");
        TableLock { child, input, _output: output }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Nobody wants the data any more.
        if let Some(postgres) = &self.running[Server::Postgres as usize] {
            send(postgres, Signal::QUIT);
        }
        for server in ALL {
            self.stop_one(server);
        }
    }
}

/// A session that holds a table.
pub struct TableLock {
    child: Child,
    input: ChildStdin,
    _output: BufReader<ChildStdout>,
}

impl TableLock {
    pub fn release(mut self) {
        self.input.write_all(b"COMMIT;\n").unwrap();
        drop(self.input);
        self.child.wait().unwrap();
    }
}

/// Sends a signal to a child.
pub fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits for a condition, asking again at once after a short pause, until the deadline.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "waited {} s in vain for {what}", DEADLINE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ports that nobody has, below those that the system gives to connections: a server that is stopped gets its own again.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    [(); N].map(|()| {
        loop {
            let port = NEXT.fetch_add(1, Ordering::Relaxed);
            assert!(port < 32_768, "no port is left");
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    })
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn newest_postgres(root: &Path) -> String {
    let mut versions: Vec<u32> = std::fs::read_dir(root.join("usr/lib/postgresql"))
        .expect("install the package postgresql")
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable();
    format!("/usr/lib/postgresql/{}/bin", versions.last().expect("install the package postgresql"))
}

fn postgres_ids(root: &Path) -> (u32, u32) {
    let accounts = std::fs::read_to_string(root.join("etc/passwd")).unwrap();
    let account =
        accounts.lines().find(|line| line.starts_with("postgres:")).expect("install the package postgresql");
    let fields: Vec<&str> = account.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
