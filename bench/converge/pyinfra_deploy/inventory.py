"""The hosts, reached as OpenSSH's configuration says."""

import json
import os

from paramiko import Transport
from paramiko.kex_curve25519 import KexCurve25519

# The hosts' sshd agrees on keys by curve25519 under its standard name, and paramiko only knows its older one.
Transport._kex_info["curve25519-sha256"] = KexCurve25519
Transport._preferred_kex = ("curve25519-sha256", *Transport._preferred_kex)

hosts = [
    (host, {"ssh_config_file": os.environ["BENCH_SSH_CONFIG"]}) for host in json.load(open(os.environ["BENCH_WORK"]))
]
