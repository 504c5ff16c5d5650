"""The work as pyinfra's own operations, one an item."""

import json
import os
import shlex

from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import apt, files, server, systemd


def file(item):
    files.put(
        name=f"file {item['path']}",
        src=item["source"],
        dest=item["path"],
        user=item["owner"],
        group=item["group"],
        mode=item["mode"],
        create_remote_dir=False,
    )


def directory(item):
    files.directory(
        name=f"directory {item['path']}",
        path=item["path"],
        user=item["owner"],
        group=item["group"],
        mode=item["mode"],
    )


def absent(item):
    files.file(name=f"absent {item['path']}", path=item["path"], present=False)


def packages(item):
    apt.packages(name=f"packages {item['names'][0]} and others", packages=item["names"])


def unit(item):
    systemd.service(
        name=f"unit {item['name']}", service=item["name"], running=item["running"], enabled=item["enabled"]
    )


def user(item):
    server.user(
        name=f"user {item['name']}",
        user=item["name"],
        home=item["home"],
        shell=item["shell"],
        groups=item["groups"],
        append=True,
        system=item["system"],
        uid=item["uid"],
        ensure_home=False,
    )


def probe(item):
    """A question that no operation asks; where the answer is wrong, the shell would make it right."""
    answer = host.get_fact(Command, f"{shlex.join(item['argv'])} || echo not so")
    answer = (answer or "").strip()
    wrong = answer.endswith("not so") or (item["expected"] is not None and answer != item["expected"].strip())
    if wrong:
        server.shell(name=item["name"], commands=["true"])


OPERATIONS = {
    "file": file,
    "directory": directory,
    "absent": absent,
    "packages": packages,
    "unit": unit,
    "user": user,
    "probe": probe,
}

items = json.load(open(os.environ["BENCH_WORK"]))[host.name]
for item in host.loop(items):
    OPERATIONS[item["do"]](item)
