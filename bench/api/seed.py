"""The rows that every server finds: organizations with tasks, and agents with tokens."""

import json
import secrets
import zlib
from hashlib import sha256
from pathlib import Path

ORGANIZATIONS, AGENTS, TASKS = 20, 500, 500
# Who made the tasks that stay.
NOBODY = "00000000-0000-0000-0000-000000000000"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SCOPES = "{tasks:read,tasks:write}"
# What is emptied after each server is not analyzed, by nobody: PostgreSQL would take it for empty from then on, plan to read it whole, and
# keep to that plan while it fills. On a platform these tables are never empty.
EMPTIED = ("audit_events", "audit_batches", "idempotency_keys", "jobs", "webhook_messages")
LEFT_ALONE = "\n".join(f"ALTER TABLE {table} SET (autovacuum_enabled = off);" for table in EMPTIED)
# Removes what a server has left behind.
RESET = f"""
DELETE FROM tasks WHERE created_by <> '{NOBODY}';
TRUNCATE {', '.join(EMPTIED)} CASCADE;
UPDATE tokens SET last_used_at = NULL;
VACUUM (ANALYZE) tasks, tokens;
CHECKPOINT;
"""


def identifier(kind: int, number: int) -> str:
    return f"00000000-0000-7000-8{kind:03x}-{number:012d}"


def organization(number: int) -> str:
    return identifier(1, number)


def project(number: int) -> str:
    return identifier(2, number)


def token() -> str:
    """A token as `serve/foundation/src/auth/token.rs` makes it."""
    text = "bst_" + base62(int.from_bytes(secrets.token_bytes(32)), 43)
    return text + base62(zlib.crc32(text.encode()), 6)


def base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = ALPHABET[digit] + text
    return text


def fill(servers, crew: Path) -> None:
    """Writes the rows, and who may ask for them into the file that the load reads."""
    numbers = range(1, ORGANIZATIONS + 1)
    tokens = [token() for _ in range(AGENTS)]
    statements = [
        f"INSERT INTO organizations (id, name, created_at, updated_at) "
        f"VALUES ('{organization(number)}', 'organization {number}', now(), now());"
        f"INSERT INTO projects (id, organization_id, name, created_at, created_by, updated_at) "
        f"VALUES ('{project(number)}', '{organization(number)}', 'project', now(), '{organization(number)}', now());"
        for number in numbers
    ]
    for number, text in enumerate(tokens):
        belongs, agent = organization(number % ORGANIZATIONS + 1), identifier(3, number)
        statements.append(
            f"INSERT INTO agents (id, organization_id, name, created_at, created_by, updated_at) "
            f"VALUES ('{agent}', '{belongs}', 'agent', now(), '{agent}', now());"
            f"INSERT INTO tokens (id, organization_id, agent_id, name, hash, hint, scopes, created_at, created_by, "
            f"expires_at) VALUES ('{identifier(4, number)}', '{belongs}', '{agent}', 'token', "
            f"'\\x{sha256(text.encode()).hexdigest()}', '{text[-4:]}', '{SCOPES}', now(), '{agent}', "
            f"now() + interval '1 day');"
        )
    # Milliseconds, because JavaScript's dates know no less.
    statements.append(
        f"INSERT INTO tasks (id, organization_id, project_id, title, description, state, due_on, created_at, "
        f"created_by, updated_at) "
        f"SELECT format('00000000-0000-7000-8005-%s%s', lpad(o::text, 4, '0'), lpad(t::text, 8, '0'))::uuid, "
        f"format('{organization(0)[:-4]}%s', lpad(o::text, 4, '0'))::uuid, "
        f"format('{project(0)[:-4]}%s', lpad(o::text, 4, '0'))::uuid, "
        f"'Water the plants of room ' || t, repeat('Twice a week, and more often in summer. ', 5), 'open', "
        f"'2026-12-24', at, '{NOBODY}', at "
        f"FROM generate_series(1, {ORGANIZATIONS}) o, generate_series(1, {TASKS}) t, "
        f"LATERAL (SELECT timestamptz '2026-01-01 00:00:00.001Z' + t * interval '1 minute' AS at) moment;"
    )
    servers.sql(LEFT_ALONE)
    servers.sql("BEGIN;" + "\n".join(statements) + "COMMIT;")
    agents = [
        {"token": text, "address": f"10.1.{number // 250}.{number % 250 + 1}", "organization": number % ORGANIZATIONS}
        for number, text in enumerate(tokens)
    ]
    organizations = [
        {
            "project": project(number),
            "tasks": [f"00000000-0000-7000-8005-{number:04d}{task:08d}" for task in range(1, TASKS + 1)],
        }
        for number in numbers
    ]
    crew.write_text(json.dumps({"agents": agents, "organizations": organizations}))
