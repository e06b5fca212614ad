from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from ..database import repository
from ..repositories import Statistics
from ..security import check_scopes

router = APIRouter()
office = FastAPI(dependencies=[Depends(check_scopes)])
statistics = repository(Statistics)


@router.get("/busiest")
async def busiest(found: Statistics = Depends(statistics)):
    return await found.busiest()


async def health(request: Request) -> JSONResponse:
    return JSONResponse({"ok": True, "site": request.state.tenant})


@office.post("/archive/{day:path}")
async def archive(day: str, found: Statistics = Depends(statistics)) -> None:
    await found.archive(day)


router.add_api_route("/health", health, methods=["GET"])
