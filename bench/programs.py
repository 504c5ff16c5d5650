"""What the benchmarks run: what was built here, and the peers in the versions that are pinned."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
SCRATCH = ROOT / "target" / "bench"


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def built(name: str) -> Path:
    """The release build of a program."""
    found = [path for path in TARGET.glob(f"**/release/{name}") if path.is_file()]
    if not found:
        sys.exit(f"bench: {name} is not built; `make bench` does it")
    return max(found, key=lambda path: path.stat().st_mtime)


def alone(script: str) -> None:
    """Goes on in namespaces of its own: no other port, mount or process is met, and nothing stays behind."""
    root = subprocess.check_output([built("bastide"), "lab", "servers-root"], text=True).strip()
    namespaces = ["--mount", "--propagation", "private", "--net", "--ipc", "--pid", "--mount-proc"]
    apart = ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--fork", "--kill-child"]
    command = [*apart, sys.executable, script, *sys.argv[1:]]
    os.execvp(command[0], [*command, "--servers-root", root])


def python(requirements: Path, home: Path) -> Path:
    """The Python packages that `requirements` pins; returns the directory of their programs."""

    def install() -> None:
        if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode != 0:
            debian("python3-venv")
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", "-r", requirements], check=True)

    once(home, requirements.read_text(), install)
    return home / "bin"


def node(source: Path, home: Path) -> None:
    """The Node packages that the lock file beside `source` pins, with the source."""

    def install() -> None:
        if shutil.which("npm") is None:
            debian("nodejs", "npm")
        shutil.copytree(source, home, ignore=shutil.ignore_patterns("node_modules"))
        quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        subprocess.run(["npm", "ci", "--omit=dev", "--ignore-scripts", *quiet], cwd=home, check=True, stdout=sys.stderr)

    once(home, "".join(path.read_text() for path in sorted(source.iterdir()) if path.is_file()), install)


def once(home: Path, wanted: str, install) -> None:
    """Installs anew where something else is wanted than what is there."""
    installed = home / "installed.txt"
    if installed.exists() and installed.read_text() == wanted:
        return
    say(f"installing the peers: {home.name}")
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    install()
    installed.write_text(wanted)


def debian(*packages: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    subprocess.run(["apt-get", "install", "-y", "-qq", *packages], check=True, env=environment)
