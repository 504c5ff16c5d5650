"""What is compared: the application and its peers, each as its users would start it on one host."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from running import Running, environment
from servers import CACHE, DURABLE, PGBOUNCER, POSTGRES

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


def start(server: Server, files: Path, database_port: int = PGBOUNCER) -> Running:
    """The server, running."""
    told = {
        **environment(files, PORT, f"postgres://app@localhost:{database_port}/app"),
        "VALKEY_DURABLE_PASSWORD_FILE": str(files / "password"),
        "VALKEY_CACHE_PASSWORD_FILE": str(files / "password"),
        **server.environment,
    }
    return Running(server.name, server.command, told, files / f"{server.name}.log", server.ready, server.directory)


def migrate(app: Path, files: Path) -> None:
    """Brings the schema up to date: the application's own migrations."""
    told = {
        "PRIVATE_CA_FILE": str(files / "ca.pem"),
        "DATABASE_URL": f"postgres://app@localhost:{PGBOUNCER}/app",
        "DATABASE_DIRECT_URL": f"postgres://owner@localhost:{POSTGRES}/app",
        "DATABASE_DIRECT_PASSWORD_FILE": str(files / "password"),
    }
    subprocess.run([app, "migrate"], env=told, check=True, stdout=sys.stderr)
