"""The issuer: its files, its accounts, and how it is started."""

import subprocess
from pathlib import Path

from running import Running, environment
from servers import POSTGRES, Servers

PORT = 9000
# As `bench-flows` has them.
ISSUER, CLIENT, BACK, UPSTREAM_CLIENT = "https://id.example.test", "app", "https://app.example.test/callback", "issuer"
SECRET = "a secret for the bench alone, and long enough"
FILL = """
INSERT INTO accounts (id, email, email_vouched, given_name, family_name, created_at, updated_at)
SELECT ('00000000-0000-7000-8001-' || lpad(n::text, 12, '0'))::uuid, 'somebody-' || n || '@example.com', true, 'Some',
       'Body', now(), now()
FROM generate_series(1, {accounts}) AS n;
INSERT INTO identities (id, account_id, provider, subject, email, email_vouched, created_at, last_used_at)
SELECT ('00000000-0000-7000-8002-' || lpad(n::text, 12, '0'))::uuid,
       ('00000000-0000-7000-8001-' || lpad(n::text, 12, '0'))::uuid, 'google', 'subject-' || n,
       'somebody-' || n || '@example.com', true, now(), now()
FROM generate_series(1, {accounts}) AS n;
VACUUM (ANALYZE) accounts, identities;
"""
# What flows leave behind. Not analyzed: PostgreSQL would take it for empty and plan to read it whole.
EMPTIED = ("audit_events", "browser_sessions", "grants", "codes", "issued_tokens", "upstream_grants", "errands")
RESET = f"TRUNCATE {', '.join(EMPTIED)} CASCADE;\nCHECKPOINT;\n"


def told(files: Path) -> dict[str, str]:
    return {
        **environment(files, PORT, f"postgres://app@localhost:{POSTGRES}/app"),
        "BIND_ADDRESS": "127.0.0.1",
        "METRICS_PORT": "9466",
        "PUBLIC_URL": ISSUER,
        "TRUSTED_PROXIES": "127.0.0.1",
        "DATABASE_DIRECT_URL": f"postgres://owner@localhost:{POSTGRES}/app",
        "DATABASE_DIRECT_PASSWORD_FILE": str(files / "password"),
        "EXTRA_CA_FILE": str(files / "ca.pem"),
        "IDENTITY_FILE": str(files / "identity.toml"),
    }


def prepare(identity: Path, servers: Servers) -> None:
    """The files that stay, and the schema."""
    (servers.files / "client-secret").write_text(f"{SECRET}\n")
    write_settings(servers.files, 1)
    subprocess.run([identity, "migrate"], env=told(servers.files), check=True, stdout=subprocess.DEVNULL)


def fill(servers: Servers, accounts: int) -> None:
    servers.sql(FILL.format(accounts=accounts))
    for table in EMPTIED:
        servers.sql(f"ALTER TABLE {table} SET (autovacuum_enabled = off);")


def write_settings(files: Path, google: int) -> None:
    """Its client, and the login provider at this port."""
    secret = files / "client-secret"
    (files / "identity.toml").write_text(f"""
[[client]]
id = "{CLIENT}"
secret_file = "{secret}"
redirect_uris = ["{BACK}"]
[[provider]]
kind = "google"
client_id = "{UPSTREAM_CLIENT}"
secret_file = "{secret}"
at = "https://localhost:{google}"
""")


def start(identity: Path, files: Path) -> Running:
    """The issuer, running: it is ready once it has a key to sign with."""
    return Running("identity", [str(identity), "serve"], told(files), files / "identity.log", "/readyz", files)
