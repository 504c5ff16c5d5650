"""What is compared: the application and its peers, each as its users would start it on one host."""

import http.client
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from process import Tree
from servers import CACHE, DURABLE, PGBOUNCER, POSTGRES, wait_for_port

HERE = Path(__file__).resolve().parent
PORT = 8080


@dataclass
class Server:
    """A column: how it is started, and how it is asked whether it is ready."""

    name: str
    command: list[str]
    directory: Path
    ready: str = "/livez"
    environment: dict[str, str] = field(default_factory=dict)


def all_columns(app: Path, fastify: Path, python: Path) -> list[Server]:
    return [
        Server(
            "bastide",
            [str(app), "serve"],
            HERE,
            "/readyz",
            {
                "BIND_ADDRESS": "127.0.0.1",
                "METRICS_PORT": "9090",
                "PUBLIC_URL": "https://app.example.test",
                "TRUSTED_PROXIES": "127.0.0.1",
                "VALKEY_DURABLE_URL": f"rediss://app@localhost:{DURABLE}",
                "VALKEY_CACHE_URL": f"rediss://app@localhost:{CACHE}",
            },
        ),
        Server("fastify", ["node", "server.js"], fastify, environment={"NODE_ENV": "production"}),
        Server(
            "fastapi",
            [str(python), "-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", str(PORT)],
            HERE / "fastapi",
            environment={"PYTHONDONTWRITEBYTECODE": "1"},
        ),
    ]


class Running:
    """A server that runs, with its log beside the servers' files."""

    def __init__(self, server: Server, files: Path, database_port: int = PGBOUNCER):
        self.server = server
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(PORT),
            "DATABASE_URL": f"postgres://app@localhost:{database_port}/app",
            "DATABASE_PASSWORD_FILE": str(files / "password"),
            "PRIVATE_CA_FILE": str(files / "ca.pem"),
            "VALKEY_DURABLE_PASSWORD_FILE": str(files / "password"),
            "VALKEY_CACHE_PASSWORD_FILE": str(files / "password"),
            "SECRET_KEY_FILE": str(files / "secret-key"),
            "SEALING_KEYS_FILE": str(files / "sealing-keys"),
            **server.environment,
        }
        self.log = files / f"{server.name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                server.command, cwd=server.directory, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.tree = Tree(self.process.pid)
        wait_for_port(PORT, self.process, server.name)
        self._wait_until_ready()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + 30
        while ask("GET", self.server.ready).status != 200:
            if time.monotonic() > until:
                raise RuntimeError(f"{self.server.name} is not ready: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def migrate(app: Path, files: Path) -> None:
    """Brings the schema up to date: the application's own migrations."""
    environment = {
        "PRIVATE_CA_FILE": str(files / "ca.pem"),
        "DATABASE_URL": f"postgres://app@localhost:{PGBOUNCER}/app",
        "DATABASE_DIRECT_URL": f"postgres://owner@localhost:{POSTGRES}/app",
        "DATABASE_DIRECT_PASSWORD_FILE": str(files / "password"),
    }
    subprocess.run([app, "migrate"], env=environment, check=True, stdout=sys.stderr)
