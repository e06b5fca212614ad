from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Cookie, Depends, Header, HTTPException, Path, Query

from ..database import SessionDep, SessionMaker, repository
from ..models import Event, Room, User
from ..repositories import Rooms
from ..schemas import RoomIn, RoomOut, RoomWithBookings
from ..security import Admin, get_visitor

router = APIRouter(prefix="/rooms")


class Page:
    def __init__(self, limit: Annotated[int, Query(le=100)] = 20, offset: int = 0):
        self.limit = limit
        self.offset = offset


async def find_room(room_id: Annotated[int, Path(ge=1)], rooms: Rooms = Depends(repository(Rooms))) -> Room:
    room = await rooms.get(room_id)
    if room is None:
        raise HTTPException(404)
    return room


async def note(what: str) -> None:
    async with SessionMaker() as session:
        session.add(Event(text=what))
        await session.commit()


@router.get("", response_model=list[RoomOut])
async def list_rooms(
    page: Annotated[Page, Depends()], tag: str | None = None, rooms=Depends(repository(Rooms))
):
    return await rooms.some(tag, page.limit, page.offset)


@router.get("/{room_id}")
async def show_room(room: Annotated[Room, Depends(find_room)]) -> RoomOut:
    return room


@router.get("/{room_id}/bookings", response_model=RoomWithBookings)
async def show_bookings(
    room_id: int,
    rooms: Annotated[Rooms, Depends(repository(Rooms))],
    accept_language: Annotated[str | None, Header()] = None,
    theme: Annotated[str, Cookie()] = "light",
):
    return await rooms.with_bookings(room_id)


@router.get("/{room_id}/greeting")
async def greet(
    room: Room = Depends(find_room), visitor: User | None = Depends(get_visitor)
) -> dict[str, str]:
    return {"text": f"{visitor.name if visitor else 'Somebody'} looks at {room.name}"}


@router.post("", status_code=201, response_model=RoomOut)
async def add_room(
    data: RoomIn,
    session: SessionDep,
    admin: Admin,
    tasks: BackgroundTasks,
    rooms: Rooms = Depends(repository(Rooms)),
):
    room = Room(name=data.name, seats=data.seats, tags=await rooms.tagged(data.tags))
    session.add(room)
    await session.commit()
    tasks.add_task(note, f"{admin.name} made {room.name}")
    return room


@router.delete("/{room_id}", status_code=204)
async def drop_room(session: SessionDep, admin: Admin, room: Room = Depends(find_room)) -> None:
    await session.delete(room)
    await session.commit()
