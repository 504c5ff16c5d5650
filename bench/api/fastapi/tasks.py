"""GET /api/v1/tasks/{id}, GET /api/v1/tasks, POST /api/v1/tasks"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import select, tuple_

import models
from database import transaction
from tokens import Agent, agent_with
from writes import Done, perform

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])

Reader = Annotated[Agent, Depends(agent_with("tasks:read"))]
Writer = Annotated[Agent, Depends(agent_with("tasks:write"))]
State = Literal["open", "started", "done"]

cursor_key = secrets.token_bytes(32)


class Task(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    project_id: UUID
    title: str
    description: str
    state: State
    due_on: date | None
    version: int
    created_at: datetime
    created_by: UUID
    updated_at: datetime
    deleted_at: datetime | None


class Page(BaseModel):
    items: list[Task]
    next_cursor: str | None


class NewTask(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: UUID
    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    description: Annotated[str, StringConstraints(max_length=10_000)] = ""
    state: State = "open"
    due_on: date | None = None


@router.get("/{id}", responses={304: {}})
async def show(
    id: UUID, agent: Reader, response: Response, if_none_match: Annotated[str | None, Header()] = None
) -> Task:
    async with transaction(agent.organization) as session:
        wanted = select(models.Task).where(models.Task.organization_id == agent.organization, models.Task.id == id)
        task = await session.scalar(wanted)
    if task is None:
        raise HTTPException(404, "There is no such task.")
    tag = f'"v{task.version}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"etag": tag})
    response.headers["etag"] = tag
    return Task.model_validate(task)


@router.get("")
async def list_tasks(
    agent: Reader,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> Page:
    wanted = (
        select(models.Task)
        .where(models.Task.organization_id == agent.organization, models.Task.deleted_at.is_(None))
        .order_by(models.Task.created_at, models.Task.id)
        .limit(limit + 1)
    )
    if cursor:
        wanted = wanted.where(tuple_(models.Task.created_at, models.Task.id) > open_cursor(agent, cursor))
    async with transaction(agent.organization) as session:
        rows = (await session.scalars(wanted)).all()
    items = rows[:limit]
    next_cursor = seal_cursor(agent, items[-1]) if len(rows) > limit else None
    if next_cursor:
        response.headers["link"] = f'</api/v1/tasks?limit={limit}&cursor={next_cursor}>; rel="next"'
    return Page(items=[Task.model_validate(task) for task in items], next_cursor=next_cursor)


@router.post("", status_code=201)
async def create(
    new: NewTask, agent: Writer, request: Request, idempotency_key: Annotated[str | None, Header()] = None
) -> Task:
    async def insert(session: Any) -> Done:
        organization, now = agent.organization, datetime.now(UTC)
        found = select(models.Project.id).where(
            models.Project.organization_id == organization,
            models.Project.id == new.project_id,
            models.Project.deleted_at.is_(None),
        )
        if await session.scalar(found) is None:
            raise HTTPException(404, "There is no such project.")
        task = models.Task(
            id=uuid4(),
            organization_id=organization,
            **new.model_dump(),
            version=1,
            created_at=now,
            created_by=agent.id,
            updated_at=now,
        )
        session.add(task)
        return Done(
            status=201,
            headers={"etag": f'"v{task.version}"', "location": f"/api/v1/tasks/{task.id}"},
            body=Task.model_validate(task).model_dump_json().encode(),
            action="task.create",
            kind="task",
            id=task.id,
            changes={
                "project_id": [None, str(task.project_id)],
                "title": [None, task.title],
                "state": [None, task.state],
            },
            event={
                "type": "task.created",
                "timestamp": now.isoformat(),
                "data": {
                    "id": str(task.id),
                    "project_id": str(task.project_id),
                    "title": task.title,
                    "state": task.state,
                    "version": task.version,
                },
            },
        )

    return await perform(agent, request, new, idempotency_key, insert)


def sign(text: str) -> str:
    return urlsafe_b64encode(hmac.digest(cursor_key, text.encode(), "sha256")).decode().rstrip("=")


def seal_cursor(agent: Agent, last: models.Task) -> str:
    position = f"{last.created_at.isoformat()} {last.id}"
    return f"{urlsafe_b64encode(position.encode()).decode()}.{sign(f'{agent.organization} {position}')}"


def open_cursor(agent: Agent, cursor: str) -> tuple[datetime, UUID]:
    encoded, _, signature = cursor.partition(".")
    position = urlsafe_b64decode(encoded).decode()
    if not hmac.compare_digest(sign(f"{agent.organization} {position}"), signature):
        raise HTTPException(400, "The cursor is not ours.")
    at, id = position.split(" ")
    return datetime.fromisoformat(at), UUID(id)
