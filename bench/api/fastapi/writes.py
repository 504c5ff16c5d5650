"""One transaction a write: the effect, its audit event, its outbox row and the answer kept for its Idempotency-Key."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException, Request, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

import models
from database import transaction
from tokens import Agent

LOOK_UP = text(
    "SELECT pg_try_advisory_xact_lock(hashtextextended(:caller || ' ' || :key, 0)) AS free, "
    "kept.route, kept.fingerprint, kept.status, kept.headers, kept.body, kept.expires_at "
    "FROM (SELECT) AS one LEFT JOIN idempotency_keys AS kept ON kept.caller = :caller AND kept.key = :key"
)
KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Done:
    """What an effect was: its answer, and what is written with it."""

    status: int
    headers: dict[str, str]
    body: bytes
    action: str
    kind: str
    id: UUID
    changes: dict[str, Any]
    event: dict[str, Any]


async def perform(
    agent: Agent,
    request: Request,
    payload: BaseModel,
    key: str | None,
    effect: Callable[[AsyncSession], Awaitable[Done]],
) -> Response:
    """Does the effect once for its key, and answers as it did for every request that repeats it."""
    key = key.replace('"', "") if key else None
    route, caller = f"{request.method} {request.url.path}", f"agent:{agent.id}"
    fingerprint = sha256(payload.model_dump_json().encode()).digest()
    async with transaction(agent.organization) as session:
        if key:
            kept = (await session.execute(LOOK_UP, {"caller": caller, "key": key})).one()
            if kept.status is not None:
                return repeated(kept, route, fingerprint)
            if not kept.free:
                raise HTTPException(409, "A request with this key is under way.")
        done = await effect(session)
        now, request_id = datetime.now(UTC), request.headers.get("x-request-id") or str(uuid4())
        session.add(
            models.AuditEvent(
                id=uuid4(),
                organization_id=agent.organization,
                occurred_at=now,
                actor_kind="agent",
                actor_id=agent.id,
                token_id=agent.token_id,
                address=request.client.host if request.client else None,
                user_agent=request.headers.get("user-agent"),
                request_id=request_id,
                action=done.action,
                resource_kind=done.kind,
                resource_id=str(done.id),
                result="success",
                changes=done.changes,
            )
        )
        session.add(
            models.Job(
                id=uuid4(),
                queue="default",
                kind="webhook.dispatch",
                organization_id=agent.organization,
                payload=done.event,
                run_at=now,
                feed_at=now,
                max_attempts=10,
                request_id=request_id,
            )
        )
        if key:
            session.add(
                models.KeptAnswer(
                    caller=caller,
                    key=key,
                    route=route,
                    fingerprint=fingerprint,
                    status=done.status,
                    headers=done.headers,
                    body=done.body,
                    expires_at=now + KEPT,
                )
            )
    return Response(done.body, done.status, done.headers, media_type="application/json")


def repeated(kept: Any, route: str, fingerprint: bytes) -> Response:
    if kept.route != route or kept.fingerprint != fingerprint:
        raise HTTPException(422, "This key was used for another request.")
    headers = {**kept.headers, "idempotency-replayed": "true"}
    return Response(kept.body, kept.status, headers, media_type="application/json")
