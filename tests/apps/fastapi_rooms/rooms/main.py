from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from .database import engine
from .models import Base
from .routes import bookings, reports, rooms

API = "/api"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


def create_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    for module in (rooms, bookings):
        app.include_router(module.router, prefix=f"{API}/v1")
    app.include_router(reports.router, prefix="/reports")
    app.mount("/office", reports.office)

    @app.middleware("http")
    async def find_tenant(request: Request, call_next):
        request.state.tenant = request.headers.get("Host", "").partition(".")[0]
        return await call_next(request)

    return app


app = create_app()
