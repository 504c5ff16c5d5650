"""The figures as a page."""

from statistics import median

# Issue 4, "Numbers": flows per CPU-second, milliseconds, megabytes.
FLOWS, TOKEN_P99, RESIDENT = 400.0, 20.0, 40.0
PARTS = {"issuer": "the issuer", "postgres": "PostgreSQL", "load": "the browsers, the client and the login provider"}


def markdown(result: dict) -> str:
    return "\n".join((preamble(result), flows(result), peers(result), targets(result)))


def middle(result: dict, *path: str) -> float:
    """The median of a figure over the rounds."""

    def figure(run: dict) -> float:
        for name in path:
            run = run[name]
        return run

    return median(figure(run) for run in result["runs"])


def preamble(result: dict) -> str:
    machine, versions = result["machine"], result["versions"]
    text = f"""# Identity: the figures

Written by `make bench`; README.md beside this file says what a flow is and how it is measured.

Machine: {machine["cores"]} cores ({machine["processor"]}), {machine["memory_gb"]} GB, Linux {machine["kernel"]}, {machine["system"]}.
Two cores for everything. The issuer knows {result["accounts"]:,} accounts. Medians of {result["rounds"]} rounds, each load
{result["seconds"]:g} s. Issuer {versions["identity"]}, PostgreSQL {versions["postgresql"]}.
"""
    if result["load_before"] > 1:
        text += f"""
**The machine was busy with other work**: its load was {result["load_before"]} before the first run. CPU-seconds hold all
the same; flows per second and milliseconds are worse than on a machine of one's own.
"""
    return text


def flows(result: dict) -> str:
    signatures = result["signatures"]
    floor = sum(signatures.values())
    parts = [middle(result, "microseconds", name) for name in PARTS]
    lines = [
        "## Complete flows\n",
        "| | |",
        "|---|---|",
        f"| flows per second, all on two cores | {middle(result, 'per_second'):.0f} |",
        f"| flows per CPU-second of the issuer | {middle(result, 'per_processor_second'):.0f} |",
        f"| a flow, at half of that load | {both(result, 'flow')} |",
        f"| of it the request to `/token` | {both(result, 'token')} |",
        f"| resident memory, idle | {middle(result, 'idle_mb'):.0f} MB |",
        f"| resident memory, the most | {middle(result, 'most_resident_mb'):.0f} MB |",
        "",
        "Where a flow's processor time goes, in microseconds:\n",
        f"| {' | '.join(PARTS.values())} | of the issuer's, its signature (ES256) | and the login provider's, checked (RS256) |",
        "|---|---|---|---|---|",
        f"| {' | '.join(f'{micros:.0f}' for micros in (*parts, *signatures.values()))} |",
        "",
        f"The two signatures alone are the floor: {floor:.0f} µs, or {1e6 / floor:.0f} flows per CPU-second. Everything else of a",
        f"flow costs {middle(result, 'microseconds', 'issuer') / floor:.0f} times as much.",
        "",
    ]
    return "\n".join(lines)


def both(result: dict, what: str) -> str:
    return f"{middle(result, 'half', what, 'p50'):.1f} ms, p99 {middle(result, 'half', what, 'p99'):.1f} ms"


def peers(result: dict) -> str:
    per_core, most = middle(result, "per_processor_second"), middle(result, "most_resident_mb")
    return f"""## Beside what others publish

Their figures, on their machines, of their kind of sign-in: not measured here, and no ratio can be made of them.

| | sign-ins | memory | source |
|---|---|---|---|
| Bastide | {per_core:.0f} flows per CPU-second, brokered | {most:.0f} MB at most | measured above |
| Keycloak | 15 password logins a second for each vCPU | 1,250 MB a pod with 10,000 cached sessions | [its sizing guide](https://www.keycloak.org/high-availability/single-cluster/concepts-memory-and-cpu-sizing) |
| Authentik | none published | 2 GB recommended; 375 + 360 MiB idle reported; 3.7 GiB reported under use | [its installation guide](https://docs.goauthentik.io/install-config/install/docker-compose/), issues [17869](https://github.com/goauthentik/authentik/issues/17869), [25683](https://github.com/goauthentik/authentik/issues/25683) |
| Rauthy | none published | usually under 100 MB, in some cases under 50 MB; 35 to 57 MB reported | [its README](https://github.com/sebadob/rauthy) |

A password login hashes a password on purpose slowly, which a broker never does.
"""


def targets(result: dict) -> str:
    rows = [
        ("flows per CPU-second of the issuer", f"at least {FLOWS:.0f}", middle(result, "per_processor_second"), FLOWS, ""),
        ("p99 of `/token` at half load", f"under {TOKEN_P99:.0f} ms", middle(result, "half", "token", "p99"), -TOKEN_P99, " ms"),
        (f"resident memory with {result['accounts']:,} accounts", f"under {RESIDENT:.0f} MB", middle(result, "most_resident_mb"), -RESIDENT, " MB"),
    ]
    lines = ["## Targets\n", "| | target | measured | |", "|---|---|---|---|"]
    for what, wanted, measured, limit, unit in rows:
        met = measured >= limit if limit > 0 else measured < -limit
        lines.append(f"| {what} | {wanted} | {measured:.1f}{unit} | {'met' if met else '**missed**'} |")
    return "\n".join(lines) + "\n"
