"""Agents by their bearer tokens: by the database, or by what it said less than a second ago."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import text

from database import engine

FIND = text(
    "SELECT id, organization_id, agent_id, scopes, expires_at, revoked FROM authenticate_token(:presented)"
)
# One statement needs no transaction of its own.
autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
REMEMBERED = 1.0
MOST_REMEMBERED = 10_000

Credentials = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


@dataclass(frozen=True, slots=True)
class Agent:
    id: UUID
    token_id: UUID
    organization: UUID
    scopes: frozenset[str]
    expires_at: datetime
    asked_at: float


known: dict[bytes, Agent] = {}


async def find(token: str) -> Agent:
    digest, now = sha256(token.encode()).digest(), time.monotonic()
    agent = known.get(digest)
    if agent and now - agent.asked_at < REMEMBERED:
        return agent
    async with autocommit.connect() as connection:
        row = (await connection.execute(FIND, {"presented": digest})).one_or_none()
    if row is None or row.revoked:
        raise HTTPException(401, "The token is not known.")
    agent = Agent(row.agent_id, row.id, row.organization_id, frozenset(row.scopes), row.expires_at, now)
    if len(known) >= MOST_REMEMBERED:
        known.clear()
    known[digest] = agent
    return agent


def agent_with(scope: str) -> Callable[[Credentials], Awaitable[Agent]]:
    """A dependency: the agent of the request's token, which has this scope."""

    async def authenticate(credentials: Credentials) -> Agent:
        agent = await find(credentials.credentials)
        if agent.expires_at <= datetime.now(UTC):
            raise HTTPException(401, "The token has expired.")
        if scope not in agent.scopes:
            raise HTTPException(403, f"The token lacks the scope {scope}.")
        return agent

    return authenticate
