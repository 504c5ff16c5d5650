"""Ansible: the work as a playbook, and a run of it.

As somebody would write it who wants it fast: pipelining, shared connections, more forks than hosts, no facts, the
interpreter named, and `strategy: free`, so that no host waits for another. Every host has its tasks in a file of its
own, which one play includes: one play a host would run the hosts one after the other.
"""

import json
import os
import re
import subprocess
from pathlib import Path

from work import Changed

CONFIG = """[defaults]
inventory = {directory}/inventory.ini
forks = 20
gathering = explicit
host_key_checking = True
interpreter_python = /usr/bin/python3
local_tmp = {directory}/tmp
remote_tmp = /tmp/.ansible-bench
retry_files_enabled = False
nocows = True

[ssh_connection]
pipelining = True
ssh_args = -F {ssh_config} -o ControlMaster=auto -o ControlPersist=60s
control_path_dir = {sockets}
"""

PLAYBOOK = """- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - ansible.builtin.include_tasks: "hosts/{{ inventory_hostname }}.yml"
"""


def write(work: dict[str, list[dict]], directory: Path, ssh_config: Path, sockets: Path) -> None:
    """The playbook, its inventory and its settings."""
    (directory / "hosts").mkdir(parents=True)
    settings = CONFIG.format(directory=directory, ssh_config=ssh_config, sockets=sockets)
    (directory / "ansible.cfg").write_text(settings)
    (directory / "inventory.ini").write_text("".join(f"{host}\n" for host in work))
    (directory / "site.yml").write_text(PLAYBOOK)
    for host, items in work.items():
        tasks = [TASKS[item["do"]](item) for item in items]
        # JSON is YAML.
        (directory / "hosts" / f"{host}.yml").write_text(json.dumps(tasks, indent=1))


def verbatim(text: str) -> str:
    """Text that Ansible must not take for a template."""
    return "{% raw %}" + text + "{% endraw %}" if "{{" in text or "{%" in text else text


def ownership(item: dict) -> dict:
    return {"owner": item["owner"], "group": item["group"], "mode": item["mode"].zfill(4)}


def file(item):
    module = {"src": item["source"], "dest": item["path"], **ownership(item)}
    return {"name": f"file {item['path']}", "ansible.builtin.copy": module}


def directory(item):
    module = {"path": item["path"], "state": "directory", **ownership(item)}
    return {"name": f"directory {item['path']}", "ansible.builtin.file": module}


def absent(item):
    return {"name": f"absent {item['path']}", "ansible.builtin.file": {"path": item["path"], "state": "absent"}}


def packages(item):
    module = {"name": item["names"], "state": "present"}
    return {"name": f"packages {item['names'][0]} and others", "ansible.builtin.apt": module}


def unit(item):
    module = {
        "name": item["name"],
        "enabled": item["enabled"],
        "state": "started" if item["running"] else "stopped",
    }
    return {"name": f"unit {item['name']}", "ansible.builtin.systemd_service": module}


def user(item):
    module = {
        "name": item["name"],
        "system": item["system"],
        "home": item["home"],
        "shell": item["shell"],
        "groups": item["groups"],
        "append": True,
        "create_home": False,
    }
    if item["uid"] is not None:
        module["uid"] = item["uid"]
    return {"name": f"user {item['name']}", "ansible.builtin.user": module}


def probe(item):
    # What would make it so never runs in this benchmark, so it is left out.
    task = {
        "name": verbatim(item["name"]),
        "ansible.builtin.command": {"argv": [verbatim(word) for word in item["argv"]]},
        "register": "answer",
        "failed_when": False,
        "changed_when": "answer.rc != 0",
    }
    if item["expected"] is not None:
        task["changed_when"] = "answer.rc != 0 or answer.stdout | trim != expected | trim"
        task["vars"] = {"expected": verbatim(item["expected"])}
    return task


TASKS = {
    "file": file,
    "directory": directory,
    "absent": absent,
    "packages": packages,
    "unit": unit,
    "user": user,
    "probe": probe,
}


def run(directory: Path, programs: Path, log: Path) -> int:
    """Runs the playbook; returns the number of task results, and refuses a run that changed or failed anything."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(directory / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
    command = [str(programs / "ansible-playbook"), str(directory / "site.yml")]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    log.write_text(done.stdout + done.stderr)
    recap = re.findall(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", done.stdout, re.M)
    bad = [line for line in recap if any(int(count) for count in line[2:])]
    if done.returncode != 0 or bad or not recap:
        wrong = [line for line in done.stdout.splitlines() if re.match(r"(changed|fatal|failed):", line)]
        raise Changed("\n".join(wrong) or done.stderr[-2000:] or done.stdout[-2000:])
    # One `ok` a host is the inclusion of its tasks.
    return sum(int(line[1]) - 1 for line in recap)
