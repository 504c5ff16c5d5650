"""The figures as a page."""

from statistics import median

# Issue 3, "Numbers": times the peer's requests per CPU-second, the share of pgbench's writes, milliseconds, megabytes.
TARGETS = {
    ("fastify", "show"): 3.0,
    ("fastify", "list"): 3.0,
    ("fastify", "create"): 2.5,
    ("fastapi", "show"): 8.0,
    ("fastapi", "list"): 8.0,
    ("fastapi", "create"): 6.0,
}
OF_PGBENCH, P99, IDLE, LOADED = 0.6, 10.0, 30.0, 80.0
NAMES = {"bastide": "Bastide", "fastify": "Fastify", "fastapi": "FastAPI"}
KINDS = {"show": "read one task", "list": "list 50 tasks", "create": "create a task"}
PARTS = {
    "server": "the server",
    "pgbouncer": "PgBouncer",
    "postgres": "PostgreSQL",
    "valkey-cache": "Valkey, cache",
    "valkey-durable": "Valkey, durable",
    "load": "the load",
}


def markdown(result: dict) -> str:
    return "\n".join((preamble(result), *(endpoint(result, kind) for kind in KINDS), memory(result), targets(result)))


def middle(runs: list[dict], *path: str) -> float:
    """The median of a figure over the rounds."""

    def figure(run: dict) -> float:
        for name in path:
            run = run[name]
        return run

    return median(figure(run) for run in runs)


def preamble(result: dict) -> str:
    machine, versions = result["machine"], result["versions"]
    text = f"""# API: the figures

Written by `make bench`; README.md beside this file says what is compared with what.

Machine: {machine["cores"]} cores ({machine["processor"]}), {machine["memory_gb"]} GB, Linux {machine["kernel"]}, {machine["system"]}.
Two cores for everything: the server, PgBouncer, PostgreSQL, both Valkeys and the load. Medians of {result["rounds"]} rounds,
each load {result["seconds"]:g} s.

Versions: Bastide's application {versions["app"]}; Fastify {versions["fastify"]}, pg {versions["pg"]}, Node {versions["node"]};
FastAPI {versions["fastapi"]}, SQLAlchemy {versions["sqlalchemy"]}, asyncpg {versions["asyncpg"]}, uvicorn {versions["uvicorn"]}, Python {versions["python"]};
PostgreSQL {versions["postgresql"]}, PgBouncer {versions["pgbouncer"]}, Valkey {versions["valkey"]}.
"""
    if result["load_before"] > 1:
        text += f"""
**The machine was busy with other work**: its load was {result["load_before"]} before the first run. Ratios and CPU-seconds
hold all the same; requests per second and milliseconds are worse than on a machine of one's own.
"""
    return text


def ratio(result: dict, peer: str, kind: str) -> float:
    ours, theirs = (middle(result["runs"][name][kind], "per_processor_second") for name in ("bastide", peer))
    return ours / theirs


def endpoint(result: dict, kind: str) -> str:
    lines = [
        f"## {KINDS[kind].capitalize()}\n",
        "| | requests per CPU-second | Bastide does, per CPU-second | requests per second | "
        "p50, p99 at half of that | round trips to the database |",
        "|---|---|---|---|---|---|",
    ]
    for name, shown in NAMES.items():
        runs = result["runs"][name][kind]
        times = "" if name == "bastide" else f"{ratio(result, name, kind):.1f}×"
        half = f"{middle(runs, 'half', 'p50'):.2f} ms, {middle(runs, 'half', 'p99'):.2f} ms"
        lines.append(
            f"| {shown} | {middle(runs, 'per_processor_second'):.0f} | {times} | {middle(runs, 'per_second'):.0f} | "
            f"{half} | {result['round_trips'][name][kind]:g} |"
        )
    if kind == "create":
        rate = middle(result["runs"]["pgbench"], "per_second")
        lines.append(f"| pgbench, the same SQL | | | {rate:.0f} | | {result['round_trips']['bastide'][kind]:g} |")
    return "\n".join(lines) + "\n\n" + where(result, kind)


def where(result: dict, kind: str) -> str:
    """Who uses the processor."""
    lines = [
        "Where a request's processor time goes, in microseconds:\n",
        "| | " + " | ".join(PARTS.values()) + " |",
        "|---" * (len(PARTS) + 1) + "|",
    ]
    columns = {NAMES[name]: result["runs"][name][kind] for name in NAMES}
    if kind == "create":
        columns["pgbench"] = result["runs"]["pgbench"]
    for shown, runs in columns.items():
        figures = [
            f"{middle(runs, 'microseconds', part):.0f}" if part in runs[0]["microseconds"] else "" for part in PARTS
        ]
        lines.append(f"| {shown} | " + " | ".join(figures) + " |")
    return "\n".join(lines) + "\n"


def memory(result: dict) -> str:
    lines = ["## Resident memory\n", "| | idle | most under load |", "|---|---|---|"]
    for name, shown in NAMES.items():
        lines.append(f"| {shown} | {idle(result, name):.0f} MB | {loaded(result, name):.0f} MB |")
    return "\n".join(lines) + "\n"


def idle(result: dict, name: str) -> float:
    return median(run["idle_mb"] for kind in KINDS for run in result["runs"][name][kind])


def loaded(result: dict, name: str) -> float:
    return max(run["most_resident_mb"] for kind in KINDS for run in result["runs"][name][kind])


def of_pgbench(result: dict) -> float:
    """Median of the rounds' ratios: both were measured in the same round."""
    pairs = zip(result["runs"]["bastide"]["create"], result["runs"]["pgbench"], strict=True)
    return median(ours["per_second"] / pgbench["per_second"] for ours, pgbench in pairs)


def targets(result: dict) -> str:
    lines = ["## Targets\n", "| | target | measured | |", "|---|---|---|---|"]

    def line(name: str, target: str, measured: str, met: bool) -> None:
        lines.append(f"| {name} | {target} | {measured} | {'met' if met else 'missed'} |")

    for (peer, kind), limit in TARGETS.items():
        factor = ratio(result, peer, kind)
        name = f"{KINDS[kind]}: requests per CPU-second, times {NAMES[peer]}'s"
        line(name, f"at least {limit:g}×", f"{factor:.1f}×", factor >= limit)
    share = of_pgbench(result)
    line("create a task: per second, of pgbench's", f"at least {OF_PGBENCH:.0%}", f"{share:.0%}", share >= OF_PGBENCH)
    for kind, shown in KINDS.items():
        p99 = middle(result["runs"]["bastide"][kind], "half", "p99")
        line(f"{shown}: p99 at half load", f"under {P99:g} ms", f"{p99:.1f} ms", p99 < P99)
    for name, limit, size in (
        ("resident memory, idle", IDLE, idle(result, "bastide")),
        ("resident memory, under load", LOADED, loaded(result, "bastide")),
    ):
        line(name, f"under {limit:g} MB", f"{size:.0f} MB", size < limit)
    return "\n".join(lines) + "\n"
