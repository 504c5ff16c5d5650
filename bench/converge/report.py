"""The figures as a page."""

from statistics import median

# Issue 2, "Numbers"; `pyinfra` and `ansible` are times slower.
TARGETS = {"bastide": 1.0, "ansible": 50.0, "pyinfra": 5.0, "up": 150.0, "verify": 15.0}


def markdown(result: dict) -> str:
    parts = [preamble(result), converge(result), up(result), verify(result), targets(result)]
    return "\n".join(part for part in parts if part)


def preamble(result: dict) -> str:
    machine, versions = result["machine"], result["versions"]
    text = f"""# Converge: the figures

Written by `make bench`; README.md beside this file says what is compared with what.

Machine: {machine["cores"]} cores ({machine["processor"]}), {machine["memory_gb"]} GB, Linux {machine["kernel"]}, {machine["system"]}.
Versions: Bastide {versions["bastide"]}, ansible-core {versions["ansible-core"]}, pyinfra {versions["pyinfra"]}, Python {versions["python"]}.
"""
    if result["load_before"] > machine["cores"] / 2:
        text += f"""
**The machine was busy with other work**: its load was {result["load_before"]} on {machine["cores"]} cores before the first run.
All figures are higher than on a machine of one's own.
"""
    return text


def times(bastide: float, peer: float) -> str:
    return f"{peer / bastide:.1f}×"


def converge(result: dict) -> str:
    count, runs = result["resources"], result["runs"]
    base = median(runs["bastide"])
    lines = [
        f"## Nothing to change: {result['hosts']} hosts, {count} host-resources\n",
        "| | median | of runs | tasks | per host-resource | per own task | Bastide is faster, per host-resource | per own task |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, name in (
        ("bastide", "Bastide, no connection open"),
        ("bastide_connected", "Bastide, connections open from a run before"),
        ("pyinfra", "pyinfra"),
        ("ansible", "Ansible"),
    ):
        middle = median(runs[key])
        tasks = result["tasks"].get(key, count)
        of = ", ".join(f"{seconds:.2f}" for seconds in runs[key])
        ratios = ["", ""]
        if key in result["tasks"]:
            ratios = [times(base, middle), times(base / count, middle / tasks)]
        lines.append(
            f"| {name} | {middle:.2f} s | {of} | {tasks} | {middle / count * 1000:.1f} ms | "
            f"{middle / tasks * 1000:.1f} ms | {ratios[0]} | {ratios[1]} |"
        )
    lines.append(
        f"\nOf Bastide's {base:.2f} s the slowest host took {result['longest_host_seconds']:.2f} s to look at its resources; "
        "the rest is the start of the program, its connections, and what it makes of the platform file."
    )
    return "\n".join(lines) + "\n"


def up(result: dict) -> str:
    if "up" not in result:
        return ""
    figures = result["up"]
    of = ", ".join(f"{seconds:.1f}" for seconds in figures["seconds"])
    lines = [
        f"## From base image to all checks passing: {median(figures['seconds']):.1f} s\n",
        f"Runs: {of}. Binaries built, base image there, packages from a near mirror. Where the time goes:\n",
        "| step | seconds |",
        "|---|---|",
    ]
    lines += [f"| {step} | {seconds:.1f} |" for step, seconds in figures["steps"].items()]
    return "\n".join(lines) + "\n"


def verify(result: dict) -> str:
    checks, runs = result["checks"], result["runs"]["verify"]
    of = ", ".join(f"{seconds:.2f}" for seconds in runs)
    return (
        f"## Verify: {median(runs):.2f} s\n\n"
        f"Runs: {of}. {checks['passed']} checks passed, {checks['failed']} failed, {checks['skipped']} were skipped.\n"
    )


def targets(result: dict) -> str:
    count, runs, tasks = result["resources"], result["runs"], result["tasks"]
    base = median(runs["bastide"])

    def slower(peer: str) -> float:
        """The smaller of both ratios: a peer with more tasks than there are resources is not blamed for them."""
        return median(runs[peer]) / max(count, tasks[peer]) / (base / count)

    lines = ["## Targets\n", "| | target | measured | |", "|---|---|---|---|"]

    def line(name: str, target: str, measured: str, met: bool) -> None:
        lines.append(f"| {name} | {target} | {measured} | {'met' if met else 'missed'} |")

    limit = TARGETS["bastide"]
    line("nothing to change", f"under {limit:.1f} s", f"{base:.2f} s", base < limit)
    for peer, name in (("ansible", "Ansible"), ("pyinfra", "pyinfra")):
        factor, limit = slower(peer), TARGETS[peer]
        line(f"faster than {name}", f"at least {limit:.0f}×", f"{factor:.1f}×", factor >= limit)
    if "up" in result:
        seconds, limit = median(result["up"]["seconds"]), TARGETS["up"]
        line("from base image to all checks passing", f"under {limit:.0f} s", f"{seconds:.1f} s", seconds < limit)
    seconds, limit = median(runs["verify"]), TARGETS["verify"]
    line("verify", f"under {limit:.0f} s", f"{seconds:.2f} s", seconds < limit)
    return "\n".join(lines) + "\n"
