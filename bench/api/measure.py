"""Loads, what they use, and what is answered to them."""

import json
import subprocess
import time
from pathlib import Path
from statistics import median

import pgbench
import seed
from columns import PORT, Server, start
from exchanges import Proxy
from process import Tree
from programs import say
from running import Answer, Running
from servers import Servers

KINDS = ("show", "list", "create")
CONNECTIONS = 32
# Before it is measured: JavaScript is compiled where it is hot.
WARM = 1.5
# Requests of which round trips are counted, one after the other.
COUNTED = 40


class Bench:
    """One session's servers, load and figures."""

    def __init__(self, servers: Servers, load: Path, crew: Path, seconds: float):
        self.servers, self.load_program, self.crew, self.seconds = servers, load, crew, seconds
        self.next_agent = 0
        people = json.loads(crew.read_text())
        self.agent, self.organization = people["agents"][0], people["organizations"][0]

    def rounds(self, compared: list[Server], scripts: list[Path], count: int) -> dict:
        """Every server and kind in turn, so that whatever else the machine does meets all of them."""
        runs: dict = {server.name: {kind: [] for kind in KINDS} for server in compared}
        runs["pgbench"] = []
        for number in range(count):
            for kind in KINDS:
                for server in compared:
                    figures = self.one(server, kind)
                    runs[server.name][kind].append(figures)
                    say(
                        f"round {number + 1} of {count}, {kind}, {server.name}: {figures['per_second']:.0f}/s, "
                        f"{figures['per_processor_second']:.0f} per CPU-second, p99 {figures['half']['p99']:.1f} ms, "
                        f"{figures['most_resident_mb']:.0f} MB"
                    )
                    if kind == "create":
                        self.reset()
            runs["pgbench"].append(self.pgbench(scripts))
            say(f"round {number + 1} of {count}, pgbench: {runs['pgbench'][-1]['per_second']:.0f}/s")
            self.reset()
        return runs

    def one(self, server: Server, kind: str) -> dict:
        """One server from its start: idle, as fast as it can, and at half of that."""
        running = start(server, self.servers.files)
        try:
            time.sleep(0.5)
            idle = running.tree.resident_mb()
            full = self.load(kind, {"server": running.tree, **self.stores()})
            half = self.load(kind, {"server": running.tree}, rate=full["per_second"] / 2)
            most = running.tree.most_resident_mb()
        finally:
            running.stop()
        used = full["processor_seconds"]
        return {
            "per_second": full["per_second"],
            "per_processor_second": full["requests"] / used["server"],
            "p50": full["p50"],
            "p99": full["p99"],
            "half": {name: half[name] for name in ("per_second", "p50", "p90", "p99", "longest")},
            "idle_mb": idle,
            "most_resident_mb": most,
            "microseconds": {name: seconds / full["requests"] * 1e6 for name, seconds in used.items()},
        }

    def stores(self) -> dict[str, Tree]:
        return {name: Tree(process.pid) for name, process in self.servers.running.items()}

    def load(self, kind: str, trees: dict[str, Tree], rate: float | None = None) -> dict:
        """Runs the load, and what the trees used while it was measured."""
        command = [
            *(self.load_program, kind, "--address", f"127.0.0.1:{PORT}", "--crew", self.crew),
            *("--connections", str(CONNECTIONS), "--warm", str(WARM), "--seconds", str(self.seconds)),
            *("--first", str(self.next_agent), "--turn", "200" if kind == "create" else "400"),
            *(("--rate", f"{rate:.1f}") if rate else ()),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        trees = {**trees, "load": Tree(process.pid)}
        before, after = {}, {}
        for word, used in (("begin", before), ("end", after)):
            if process.stdout.readline().strip() != word:
                process.wait()
                raise RuntimeError(f"{kind}: {process.stderr.read()[:2000]}")
            used.update({name: tree.processor_seconds() for name, tree in trees.items()})
        said, complaint = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{kind}: {complaint[:2000]}")
        figures = json.loads(said)
        # The next load begins with agents that have rested longest.
        self.next_agent = (self.next_agent + 97) % seed.AGENTS
        return figures | {"processor_seconds": {name: after[name] - before[name] for name in trees}}

    def pgbench(self, scripts: list[Path]) -> dict:
        trees = self.stores()
        before = {name: tree.processor_seconds() for name, tree in trees.items()}
        command = self.servers.command(*pgbench.command(self.servers.programs, scripts, self.seconds))
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"pgbench: {done.stderr[-2000:]}")
        rate = pgbench.per_second(done.stdout)
        count = rate * round(self.seconds)
        used = {name: (tree.processor_seconds() - before[name]) / count * 1e6 for name, tree in trees.items()}
        return {"per_second": rate, "microseconds": used}

    def reset(self) -> None:
        """Back to the rows and the memory that all began with."""
        self.servers.sql(seed.RESET)
        self.servers.forget()

    def count(self, server: Server, proxy: Proxy, port: int) -> dict:
        """Round trips to the database between a request and its answer, the answers, and the statements."""
        trips, answers, statements = {}, {}, []
        running = start(server, self.servers.files, port)
        for kind in KINDS:
            counts = []
            for number in range(COUNTED):
                # What follows from the request before is done by then.
                time.sleep(0.05)
                proxy.take()
                answers[kind] = self.ask(running, kind, f"{running.name}-{number}")
                counted = proxy.take()
                counts.append(counted.exchanges)
                statements += counted.statements
            trips[kind] = median(counts)
        running.stop()
        self.reset()
        return {"round_trips": trips, "answers": answers, "statements": statements}

    def ask(self, running: Running, kind: str, key: str) -> Answer:
        headers = {"Authorization": f"Bearer {self.agent['token']}", "X-Forwarded-For": self.agent["address"]}
        match kind:
            case "show":
                answer = running.ask("GET", f"/api/v1/tasks/{self.organization['tasks'][0]}", headers)
            case "list":
                answer = running.ask("GET", "/api/v1/tasks?limit=50", headers)
            case _:
                new = {"project_id": self.organization["project"], "title": "Task", "due_on": "2027-01-31"}
                headers |= {"Content-Type": "application/json", "Idempotency-Key": f'"{key}"'}
                answer = running.ask("POST", "/api/v1/tasks", headers, json.dumps(new))
        if answer.status not in (200, 201):
            log = running.log.read_text()[-2000:]
            raise RuntimeError(f"{running.name}, {kind}: {answer.status} {answer.body.decode()}\n{log}")
        return answer


def same_answers(of: dict[str, dict[str, Answer]]) -> None:
    """Refuses servers that answer differently: they would not be compared."""
    ours, *others = of
    for other in others:
        for kind in KINDS:
            wanted, found = (comparable(of[name][kind], kind) for name in (ours, other))
            if wanted != found:
                raise RuntimeError(f"{other} answers {kind} differently:\n{found}\nand not\n{wanted}")


def comparable(answer: Answer, kind: str):
    """An answer without what is of the occasion."""
    document = json.loads(answer.body)
    if kind == "list":
        cursor = document.pop("next_cursor")
        return bool(cursor), [instants(task) for task in document["items"]]
    task = instants(document)
    if kind == "create":
        for name in ("id", "created_at", "updated_at"):
            del task[name]
    return answer.status, answer.headers["etag"], task


def instants(task: dict) -> dict:
    """Moments without zeros at the end of their fractions, which libraries write or leave out."""
    return {name: value.rstrip("0Z") if name.endswith("_at") and value else value for name, value in task.items()}
