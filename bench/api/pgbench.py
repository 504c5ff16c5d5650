"""The fourth column: `pgbench` running the SQL of the application's write, as it was seen on the wire.

The statements are the application's own, in its round trips: what it sends together goes in one pipeline. In place of
parameters stand values, because pgbench has variables for numbers alone; that makes its work less, not more.
"""

import re
from pathlib import Path

import seed
from servers import PASSWORD, PGBOUNCER

# How many connections the application's pool has.
CLIENTS = 16
# What a statement begins with, and what stands for its parameters.
VALUES = {
    "SELECT set_config('app.organization'": ["'{organization}'", "'app bench'"],
    "SELECT pg_try_advisory_xact_lock(": ["'{caller}'", ":key::text"],
    "INSERT INTO tasks ": [
        "uuidv7()", "'{organization}'", "'{project}'", "'Task'", "'Twice a week.'", "'open'", "'2027-01-31'", "now()",
        "'{agent}'",
    ],
    "INSERT INTO audit_events ": [
        "uuidv7()", "'{organization}'", "now()", "'agent'", "'{agent}'", "'{agent}'", "'10.1.0.1'", "'bench'",
        "uuidv7()", "'task.create'", "'task'", "uuidv7()", "'success'",
        """'{{"project_id": [null, "{project}"], "state": [null, "open"], "title": [null, "Task"]}}'""",
    ],
    "INSERT INTO jobs ": [
        "uuidv7()", "'default'", "'webhook.dispatch'", "'{organization}'",
        """'{{"type": "task.created", "timestamp": "2026-11-27T00:00:00.000000000Z", "data": {{"id": "{project}", \
"project_id": "{project}", "title": "Task", "state": "open", "version": 1}}}}'""",
        "NULL", "NULL::timestamptz", "10", "uuidv7()", "'00-{trace}-00f067aa0ba902b7-01'",
    ],
    "INSERT INTO idempotency_keys ": [
        "'{caller}'", ":key", "'POST /api/v1/tasks'", "sha256(:key::text::bytea)", "201",
        """'{{"etag": "\\"v1\\"", "location": "/api/v1/tasks/{project}", "content-type": "application/json"}}'""",
        "convert_to(repeat('0', 420), 'UTF8')", "NULL", "now() + interval '1 day'",
    ],
}
FIRST, ALONE, LAST = "BEGIN", "INSERT INTO tasks ", "COMMIT"


def statements_of_write(seen: list[str]) -> list[str]:
    """The write, out of everything that went over the wire while it was asked for."""

    def found(start: str) -> str:
        for statement in seen:
            if statement == start or (start in VALUES and statement.startswith(start)):
                return statement
        raise RuntimeError(f"the application's write has changed: it sends no statement that begins with {start}")

    return [found(start) for start in (FIRST, *VALUES, LAST)]


def scripts(statements: list[str], directory: Path) -> list[Path]:
    """A script for each organization."""
    written = []
    for number in range(1, seed.ORGANIZATIONS + 1):
        agent = seed.identifier(3, number - 1)
        names = {
            "organization": seed.organization(number),
            "project": seed.project(number),
            "agent": agent,
            "caller": f"agent:{agent}",
            "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
        }
        path = directory / f"create-{number}.pgbench"
        path.write_text(script([with_values(statement, names) for statement in statements]))
        path.chmod(0o644)
        written.append(path)
    return written


def with_values(statement: str, names: dict[str, str]) -> str:
    values = next((values for start, values in VALUES.items() if statement.startswith(start)), [])
    places = {int(number) for number in re.findall(r"\$(\d+)", statement)}
    if places != set(range(1, len(values) + 1)):
        raise RuntimeError(f"the application's write has changed: {len(places)} parameters in {statement}")
    return re.sub(r"\$(\d+)", lambda place: values[int(place[1]) - 1].format(**names), statement)


def script(statements: list[str]) -> str:
    lines = [r"\set key random(1, 9223372036854775806)", r"\startpipeline"]
    for statement in statements:
        if statement.startswith(ALONE):
            lines += [r"\endpipeline", f"{statement};", r"\startpipeline"]
        else:
            lines.append(f"{statement};")
    return "\n".join([*lines, r"\endpipeline"]) + "\n"


def command(programs: str, files: list[Path], seconds: float) -> list[str]:
    """pgbench, through PgBouncer, with TLS verified."""
    return [
        *("env", f"PGPASSWORD={PASSWORD}", "PGSSLMODE=verify-full", "PGSSLROOTCERT=/srv/ca.pem", "HOME=/srv"),
        *(f"{programs}/pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1", "-T", str(round(seconds))),
        *("-h", "127.0.0.1", "-p", str(PGBOUNCER), "-U", "app"),
        *(word for file in files for word in ("-f", f"/srv/{file.name}")),
        "app",
    ]


def per_second(said: str) -> float:
    failed = re.search(r"number of failed transactions: (\d+)", said)
    if failed is None or failed[1] != "0":
        raise RuntimeError(f"pgbench failed: {said[-2000:]}")
    return float(re.search(r"tps = ([\d.]+)", said)[1])
