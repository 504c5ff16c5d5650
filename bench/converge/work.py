"""The work the peers are given: Bastide's own resources, told in terms that any tool has words for.

`bastide resources --json` says what every host gets. Each resource becomes one or more items:

    file       source, path, owner, group, mode     a file with known content
    directory  path, owner, group, mode
    absent     path
    packages   names
    unit       name, enabled, running
    user       name, home, shell, groups, system, uid
    probe      name, argv, expected                 a question that no module asks: the answer must be `expected`

Where a resource could be mapped to more or to less work, it is mapped to less: the peers run no handlers, no
validation, no reload, and do not compare the live kernel settings or the live firewall, all of which Bastide does.
"""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path


class Changed(Exception):
    """A run changed something or failed, so it was not one where nothing is to change."""


def of_hosts(resources: dict, sources: Path, ssh_config: Path) -> dict[str, list[dict]]:
    """The items of every host, in order; contents of files are put below `sources`."""
    work = {}
    for entry in resources["hosts"]:
        host, items = entry["host"], []
        for resource in entry["resources"]:
            spec = resource["spec"]
            items.extend(KINDS[spec["kind"]](spec))
        fetch_sources(host, items, sources / host, ssh_config)
        work[host] = items
    return work


def fetch_sources(host: str, items: list[dict], directory: Path, ssh_config: Path) -> None:
    """Takes the content of files from the host itself: secrets are not in the list, and nothing is to change."""
    files = [item for item in items if item["do"] == "file"]
    if not files:
        return
    directory.mkdir(parents=True, mode=0o700)
    paths = "\0".join(item["path"].lstrip("/") for item in files)
    command = ["ssh", "-F", str(ssh_config), host, "tar -C / --null -T - -cf -"]
    archive = subprocess.run(command, input=paths.encode(), stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        for number, item in enumerate(files):
            source = directory / f"{number:03}-{Path(item['path']).name}"
            source.write_bytes(tar.extractfile(item["path"].lstrip("/")).read())
            item["source"] = str(source)


def file(path: str, owner: str = "root", group: str = "root", mode: int = 0o644) -> dict:
    return {"do": "file", "path": path, "owner": owner, "group": group, "mode": f"{mode:o}"}


def probe(name: str, argv: list[str], expected: str | None = None) -> dict:
    """Without an expected answer it is enough that the program succeeds."""
    return {"do": "probe", "name": name, "argv": argv, "expected": expected}


def apt_repository(spec):
    items = [file(f"/etc/apt/sources.list.d/{spec['name']}.sources")]
    if spec["key"]:
        items.append(file(f"/etc/apt/keyrings/{spec['name']}.asc"))
    return items


def packages(spec):
    return [{"do": "packages", "names": spec["names"]}]


def plain_file(spec):
    return [file(spec["path"], spec["owner"], spec["group"], spec["mode"])]


def directory(spec):
    return [{**file(spec["path"], spec["owner"], spec["group"], spec["mode"]), "do": "directory"}]


def absent(spec):
    return [{"do": "absent", "path": spec["path"]}]


def user(spec):
    fields = ("name", "home", "shell", "groups", "system", "uid")
    items = [{"do": "user", **{field: spec[field] for field in fields}}]
    if spec["authorized_keys"] is not None:
        items.append(file(f"{spec['home']}/.ssh/authorized_keys", spec["name"], spec["name"], 0o600))
    return items


def sysctl(spec):
    return [file(f"/etc/sysctl.d/60-{spec['name']}.conf")]


def unit(spec):
    return [{"do": "unit", **{field: spec[field] for field in ("name", "enabled", "running")}}]


def slots(spec):
    units = [f"{spec['template']}@{slot['name']}.service" for slot in spec["slots"]]
    script = 'test "$(systemctl is-active "$@" | grep -cx active)" = 1'
    return [probe(f"one of {spec['template']} runs", ["sh", "-c", script, "sh", *units])]


def firewall(_spec):
    return [file(f"/etc/ufw/{name}", mode=0o640) for name in ("user.rules", "user6.rules")]


def psql(name, database, query, expected):
    argv = ["runuser", "-u", "postgres", "--", "psql", "--no-psqlrc", "-Atqd", database, "-c", query]
    return [probe(name, argv, expected)]


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def postgres_role(spec):
    login = "true" if spec["verifier"] else "false"
    groups = ", ".join(literal(group) for group in sorted(spec["member_of"]))
    query = (
        f"select rolcanlogin = {login} and (rolpassword is not null) = {login} "
        f"and rolconnlimit = {spec['connection_limit']} and array(select g.rolname::text from pg_auth_members m "
        f"join pg_roles g on g.oid = m.roleid where m.member = r.oid order by 1) = array[{groups}]::text[] "
        f"from pg_authid r where rolname = {literal(spec['name'])}"
    )
    return psql(f"role {spec['name']}", "postgres", query, "t")


def postgres_database(spec):
    query = f"select pg_get_userbyid(datdba) from pg_database where datname = {literal(spec['name'])}"
    return psql(f"database {spec['name']}", "postgres", query, spec["owner"])


def postgres_extension(spec):
    query = f"select count(*) from pg_extension where extname = {literal(spec['name'])}"
    return psql(f"extension {spec['name']}", spec["database"], query, "1")


def postgres_settings(spec):
    return [file(f"/etc/postgresql/{spec['version']}/main/conf.d/60-bastide.conf")]


def postgres_object(spec):
    return psql(f"object {spec['name']}", spec["database"], spec["state"], spec["expected"])


def certificate(spec):
    pem = f"{spec['directory']}/{spec['name']}.pem"
    argv = ["openssl", "x509", "-noout", "-checkend", "86400", "-in", pem]
    return [probe(f"certificate {pem}", argv)]


def container_image(spec):
    argv = ["docker", "image", "inspect", "--format", "{{.Id}}", spec["reference"]]
    return [probe(f"image {spec['reference']}", argv, spec["id"])]


def command(spec):
    return [probe(spec["name"], spec["unless"])]


KINDS = {
    "apt-repository": apt_repository,
    "packages": packages,
    "file": plain_file,
    "directory": directory,
    "absent": absent,
    "user": user,
    "sysctl": sysctl,
    "unit": unit,
    "slots": slots,
    "firewall": firewall,
    "postgres-role": postgres_role,
    "postgres-database": postgres_database,
    "postgres-extension": postgres_extension,
    "postgres-settings": postgres_settings,
    "postgres-object": postgres_object,
    "certificate": certificate,
    "container-image": container_image,
    "command": command,
}
