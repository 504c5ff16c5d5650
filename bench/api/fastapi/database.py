"""PostgreSQL through PgBouncer in transaction mode: named statements, the organization only within a transaction."""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

# PgBouncer 1.21 and newer know named statements, so that the caches of driver and dialect stay on.
engine = create_async_engine(
    make_url(os.environ["DATABASE_URL"]).set(
        drivername="postgresql+asyncpg",
        password=Path(os.environ["DATABASE_PASSWORD_FILE"]).read_text().strip(),
    ),
    connect_args={"ssl": ssl.create_default_context(cafile=os.environ["PRIVATE_CA_FILE"])},
    pool_size=16,
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)

ENTER = text("SELECT set_config('app.organization', :organization, true)")


@asynccontextmanager
async def transaction(organization: UUID) -> AsyncIterator[AsyncSession]:
    """A session in a transaction that sees the rows of one organization."""
    async with sessions() as session, session.begin():
        await session.execute(ENTER, {"organization": str(organization)})
        yield session
