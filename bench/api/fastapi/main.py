"""Tasks on FastAPI: the peer of bench/api. README.md beside this folder says what it does and what it leaves out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import tasks
from database import engine


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(title="Tasks", version="1.0.0", lifespan=lifespan)
app.include_router(tasks.router)


@app.exception_handler(HTTPException)
async def problem(request: Request, error: HTTPException) -> JSONResponse:
    document = {"type": "about:blank", "title": error.detail, "status": error.status_code, "instance": request.url.path}
    return JSONResponse(document, error.status_code, error.headers, media_type="application/problem+json")


@app.get("/livez")
async def livez() -> dict[str, str]:
    return {"status": "ok"}
