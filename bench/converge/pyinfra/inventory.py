"""The hosts, reached as OpenSSH's configuration says."""

import json
import os

hosts = [
    (host, {"ssh_config_file": os.environ["BENCH_SSH_CONFIG"]}) for host in json.load(open(os.environ["BENCH_WORK"]))
]
