import os
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

URL = os.environ.get("DATABASE_URL", "postgresql://localhost/rooms").replace(
    "postgresql://", "postgresql+psycopg://"
)
engine = create_async_engine(URL)
SessionMaker = async_sessionmaker(engine, expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with SessionMaker() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


class Repository:
    def __init__(self, session: AsyncSession):
        self._session = session


def repository(kind: type[Repository]) -> Callable[..., Repository]:
    def get_repository(session: SessionDep) -> Repository:
        return kind(session)

    return get_repository
