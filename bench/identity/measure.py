"""Flows as fast as they go, and at half of that."""

import json
import subprocess
import time
from pathlib import Path

import issuer
from process import Tree
from programs import say
from servers import Servers


class Load:
    """People who sign in, and their login provider: one process that is told what to do."""

    def __init__(self, program: Path, files: Path, seconds: float):
        command = [program, "--issuer", f"127.0.0.1:{issuer.PORT}", "--files", files, "--seconds", str(seconds)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.tree = Tree(self.process.pid)
        word, port = self._hear().split()
        assert word == "google"
        self.google = int(port)

    def signatures(self) -> dict[str, float]:
        """What those of a flow cost by themselves, in microseconds."""
        self._tell("signatures")
        return json.loads(self._hear())

    def run(self, trees: dict[str, Tree], rate: float = 0) -> dict:
        """Flows at this rate, or as many as possible, and the processor time that the trees used meanwhile."""
        self._tell(f"load {rate:.1f}")
        trees = {**trees, "load": self.tree}
        before, after = {}, {}
        for word, used in (("begin", before), ("end", after)):
            if self._hear() != word:
                raise RuntimeError("the load says something else than was expected")
            used.update({name: tree.processor_seconds() for name, tree in trees.items()})
        figures = json.loads(self._hear())
        return figures | {"processor_seconds": {name: after[name] - before[name] for name in trees}}

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def _tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _hear(self) -> str:
        line = self.process.stdout.readline().strip()
        if not line:
            self.process.wait()
            raise RuntimeError(f"the load ended: {self.process.stderr.read()[:2000]}")
        return line


def rounds(identity: Path, servers: Servers, load: Load, count: int) -> list[dict]:
    """A fresh process and an empty log of sessions in each round."""
    runs = []
    for number in range(1, count + 1):
        run = once(identity, servers, load)
        runs.append(run)
        say(
            f"round {number} of {count}: {run['per_second']:.0f} flows/s, {run['per_processor_second']:.0f} per "
            f"CPU-second, p99 of /token at half load {run['half']['token']['p99']:.1f} ms"
        )
        servers.sql(issuer.RESET)
    return runs


def once(identity: Path, servers: Servers, load: Load) -> dict:
    running = issuer.start(identity, servers.files)
    try:
        time.sleep(0.5)
        idle = running.tree.resident_mb()
        trees = {"issuer": running.tree, "postgres": Tree(servers.running["postgres"].pid)}
        full = load.run(trees)
        half = load.run(trees, rate=full["flow"]["per_second"] / 2)
        most = running.tree.most_resident_mb()
    finally:
        running.stop()
    used, flows = full["processor_seconds"], full["flow"]["requests"]
    return {
        "per_second": full["flow"]["per_second"],
        "per_processor_second": flows / used["issuer"],
        "microseconds": {name: seconds / flows * 1e6 for name, seconds in used.items()},
        "full": {name: full[name] for name in ("flow", "token")},
        "half": {name: half[name] for name in ("flow", "token")},
        "idle_mb": idle,
        "most_resident_mb": most,
    }
