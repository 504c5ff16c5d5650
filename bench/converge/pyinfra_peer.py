"""pyinfra: the work as a deploy, and a run of it.

With `-y --no-wait`, so that no host waits for another between operations.
"""

import json
import os
import re
import subprocess
from pathlib import Path

from work import Changed

DEPLOY = Path(__file__).parent / "pyinfra_deploy"


def write(work: dict[str, list[dict]], directory: Path, ssh_config: Path) -> None:
    """The work as data, and OpenSSH's configuration with host keys under the names that pyinfra looks for."""
    directory.mkdir(parents=True)
    (directory / "work.json").write_text(json.dumps(work))
    text = ssh_config.read_text()
    (known_hosts,) = re.findall(r"^\s*UserKnownHostsFile (\S+)$", text, re.M)
    lines = Path(known_hosts).read_text().splitlines()
    # On the jump it looks for `[address]:22`.
    lines += [f"[{address}]:22 {line.split(' ', 1)[1]}" for line in lines for address in line.split(" ")[0].split(",")]
    (directory / "known_hosts").write_text("\n".join(lines) + "\n")
    (directory / "ssh_config").write_text(text.replace(known_hosts, str(directory / "known_hosts")))


def run(directory: Path, programs: Path, log: Path, options: tuple[str, ...] = ("-y", "--no-wait")) -> int:
    """Runs the deploy; returns the number of tasks, and refuses a run that changed or failed anything."""
    environment = {
        **os.environ,
        "BENCH_WORK": str(directory / "work.json"),
        "BENCH_SSH_CONFIG": str(directory / "ssh_config"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(programs / "pyinfra"), *options, str(DEPLOY / "inventory.py"), str(DEPLOY / "deploy.py")]
    done = subprocess.run(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    log.write_text(said)
    total = re.search(r"Grand total\s+(\d+)\s+(\S+)\s+(\S+)\s+(\d+)", said)
    connected = len(re.findall(r"^\s*\[\S+\]\s+Connected$", said, re.M))
    work = json.loads((directory / "work.json").read_text())
    if done.returncode != 0 or not total or total[2] != "-" or total[3] != "-" or connected != len(work):
        wrong = [line for line in said.splitlines() if re.search(r"Success|rror", line)]
        raise Changed("\n".join(wrong) or said[-2000:])
    # A question whose answer is right is a task, but no operation.
    return int(total[4]) + sum(item["do"] == "probe" for items in work.values() for item in items)
