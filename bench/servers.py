"""PostgreSQL, PgBouncer and two Valkeys of the platform's versions, set up as the platform does it for a host of 4 GB.

They run with `chroot` in the root that `bastide lab servers-root` has made. Their files are in memory: the disk of
whoever runs this is not what is measured.
"""

import subprocess
import time
from pathlib import Path

POSTGRES, PGBOUNCER, DURABLE, CACHE = 5432, 6432, 6379, 6380
PASSWORD = "correct-horse-battery-staple"
# As `operate/components/src/postgres/cluster.rs` has it.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "unix_socket_directories": "/srv",
    "hba_file": "/srv/pg_hba.conf",
    "ssl": "on",
    "ssl_cert_file": "/srv/server.pem",
    "ssl_key_file": "/srv/server.key",
    "shared_buffers": "1024MB",
    "effective_cache_size": "2600MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "256MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "wal_compression": "zstd",
    "max_wal_size": "2048MB",
    "checkpoint_timeout": "900",
    "io_method": "worker",
    "shared_preload_libraries": "pg_stat_statements",
    "track_io_timing": "on",
    "log_min_duration_statement": "1000",
}
PGBOUNCER_INI = f"""[databases]
app = host=127.0.0.1 port={POSTGRES} dbname=app
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {PGBOUNCER}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /srv/userlist.txt
client_tls_sslmode = require
client_tls_ca_file = /srv/ca.pem
client_tls_cert_file = /srv/server.pem
client_tls_key_file = /srv/server.key
client_tls_protocols = secure
server_tls_sslmode = verify-full
server_tls_ca_file = /srv/ca.pem
server_tls_protocols = secure
pool_mode = transaction
max_prepared_statements = 200
default_pool_size = 20
max_client_conn = 400
ignore_startup_parameters = extra_float_digits, options
log_connections = 0
log_disconnections = 0
"""
ACL = f"""user default off
user app on >{PASSWORD} ~app:* resetchannels &app:* -@all +@read +@write +@connection +@transaction +publish \
+subscribe +unsubscribe +psubscribe +punsubscribe +eval +evalsha +script|load +script|exists -@admin -@dangerous -scan \
-randomkey -swapdb -move
user admin on >{PASSWORD} ~* +@all
"""


class Servers:
    """All four, running; or PostgreSQL alone."""

    def __init__(self, root: Path, database_alone: bool = False):
        self.root = root
        self.files = root / "srv"
        self.running: dict[str, subprocess.Popen] = {}
        self._mount()
        self._write_files()
        versions = sorted((root / "usr/lib/postgresql").iterdir(), key=lambda path: int(path.name))
        self.programs = "/" + str((versions[-1] / "bin").relative_to(root))
        locale = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        self._run(f"{self.programs}/initdb", "--auth=trust", "--no-sync", *locale, "-D", "/srv/data")
        settings = [word for item in SETTINGS.items() for word in ("-c", "=".join(item))]
        self._start("postgres", f"{self.programs}/postgres", "-D", "/srv/data", "-p", str(POSTGRES), *settings)
        if not database_alone:
            self._start("pgbouncer", "/usr/sbin/pgbouncer", "/srv/pgbouncer.ini")
            for name, port in (("durable", DURABLE), ("cache", CACHE)):
                self._start(f"valkey-{name}", "/usr/bin/valkey-server", *valkey(name, port))
        self._wait()
        for role in ("owner", "app"):
            self.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'", "postgres")
        self.sql("CREATE DATABASE app OWNER owner", "postgres")

    def sql(self, script: str, database: str = "app") -> str:
        """Runs a script as the superuser, and returns what it printed."""
        command = ["/usr/bin/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "/srv", "-p", str(POSTGRES)]
        return self._run(*command, "-U", "postgres", "-d", database, "-f", "-", text=script).strip()

    def forget(self) -> None:
        """Empties both Valkeys."""
        for port in (DURABLE, CACHE):
            command = ["/usr/bin/valkey-cli", "--tls", "--cacert", "/srv/ca.pem", "-h", "127.0.0.1", "-p", str(port)]
            self._run(*command, "--user", "admin", "--pass", PASSWORD, "--no-auth-warning", "FLUSHALL")

    def database_version(self) -> str:
        return self._run(f"{self.programs}/postgres", "--version").split()[2]

    def versions(self) -> dict[str, str]:
        def said(*command: str) -> str:
            return self._run(*command).splitlines()[0]

        return {
            "postgresql": self.database_version(),
            "pgbouncer": said("/usr/sbin/pgbouncer", "--version").split()[-1],
            "valkey": said("/usr/bin/valkey-server", "--version").split("v=")[1].split()[0],
        }

    def command(self, *command: str) -> list[str]:
        """The command as the servers' user in their root."""
        return ["chroot", "--userspec=postgres:postgres", str(self.root), *command]

    def leave(self) -> None:
        for process in reversed(self.running.values()):
            process.kill()
            process.wait()

    def _mount(self) -> None:
        def mount(*arguments: str) -> None:
            subprocess.run(["mount", *arguments], check=True)

        mount("-t", "tmpfs", "-o", "size=6g,mode=0777", "tmpfs", str(self.files))
        mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(self.root / "dev/shm"))
        mount("-t", "proc", "proc", str(self.root / "proc"))
        subprocess.run(["chroot", str(self.root), "ip", "link", "set", "lo", "up"], check=True)

    def _write_files(self) -> None:
        def write(name: str, text: str) -> None:
            (self.files / name).write_text(text)

        write("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        write("userlist.txt", f'"app" "{PASSWORD}"\n')
        write("pgbouncer.ini", PGBOUNCER_INI)
        write("users.acl", ACL)
        write("password", f"{PASSWORD}\n")
        write("secret-key", "a secret for the bench alone, and long enough\n")
        write("sealing-keys", f"1:{'A' * 43}=\n")
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        new = ("openssl", "req", "-x509", *curve, "-days", "2")
        self._run(*new, "-subj", "/CN=bench", "-keyout", "/srv/ca.key", "-out", "/srv/ca.pem")
        leaf = ("-subj", "/CN=localhost", "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE")
        signed = ("-CA", "/srv/ca.pem", "-CAkey", "/srv/ca.key")
        self._run(*new, *leaf, *signed, "-keyout", "/srv/server.key", "-out", "/srv/server.pem")

    def _run(self, *command: str, text: str | None = None) -> str:
        done = subprocess.run(self.command(*command), input=text, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command[:3])}: {done.stderr[-2000:]}")
        return done.stdout

    def _start(self, name: str, *command: str) -> None:
        with open(self.files / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _wait(self) -> None:
        for name, port in zip(self.running, (POSTGRES, PGBOUNCER, DURABLE, CACHE)):
            wait_for_port(port, self.running[name], name)


def valkey(name: str, port: int) -> list[str]:
    append = ["--appendonly", "yes"] if name == "durable" else []
    return [
        *("--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/srv"),
        *("--aclfile", "/srv/users.acl", "--maxmemory", "512mb"),
        *("--tls-cert-file", "/srv/server.pem", "--tls-key-file", "/srv/server.key"),
        *("--tls-ca-cert-file", "/srv/ca.pem", "--tls-auth-clients", "no", *append),
    ]


def wait_for_port(port: int, process: subprocess.Popen, name: str, seconds: float = 30) -> None:
    """Waits until something listens there, and fails where the process ends before that."""
    wanted, until = f":{port:04X} ", time.monotonic() + seconds
    while not any(f"{wanted}00000000:0000 0A" in line for line in Path("/proc/net/tcp").read_text().splitlines()):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{name} does not listen on port {port}")
        time.sleep(0.02)
