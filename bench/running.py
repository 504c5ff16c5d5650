"""A server that is measured: how it is started, asked and ended."""

import http.client
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from process import Tree
from servers import wait_for_port


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def environment(files: Path, port: int, database: str) -> dict[str, str]:
    """What each server is told of its stores, whose files these are."""
    return {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "DATABASE_URL": database,
        "DATABASE_PASSWORD_FILE": str(files / "password"),
        "PRIVATE_CA_FILE": str(files / "ca.pem"),
        "SECRET_KEY_FILE": str(files / "secret-key"),
        "SEALING_KEYS_FILE": str(files / "sealing-keys"),
    }


class Running:
    """A server that runs and is ready, with its log beside the servers' files."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path, ready: str, directory: Path):
        self.name, self.log, self.port = name, log, int(environment["PORT"])
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.tree = Tree(self.process.pid)
        wait_for_port(self.port, self.process, name)
        self._wait_until_ready(ready)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            given = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, given, response.read())
        finally:
            connection.close()

    def _wait_until_ready(self, path: str) -> None:
        until = time.monotonic() + 30
        while self.ask("GET", path).status != 200:
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name} is not ready: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)
