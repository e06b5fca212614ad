from fastapi import APIRouter, Body, Depends
from sqlalchemy import delete, func, select, update

from ..database import SessionDep
from ..models import Booking
from ..schemas import BookingOut
from ..security import CurrentUser, note_visit

router = APIRouter(prefix="/bookings", dependencies=[Depends(note_visit)])


@router.get("", response_model=list[BookingOut])
async def my_bookings(session: SessionDep, user: CurrentUser):
    return (await session.scalars(select(Booking).where(Booking.user_id == user.id))).all()


@router.get("/count")
async def count_bookings(session: SessionDep, day: str) -> int:
    return await session.scalar(select(func.count()).select_from(Booking).where(Booking.day == day))


@router.post("")
async def book(session: SessionDep, user: CurrentUser, room_id: int = Body(), day: str = Body()) -> int:
    booking = Booking(room_id=room_id, day=day, user_id=user.id)
    session.add(booking)
    await session.commit()
    return booking.id


@router.api_route("/{booking_id}", methods=["PUT", "DELETE"])
async def change(booking_id: int, session: SessionDep, user: CurrentUser, day: str | None = None) -> None:
    mine = (Booking.id == booking_id) & (Booking.user_id == user.id)
    if day is None:
        await session.execute(delete(Booking).where(mine))
    else:
        await session.execute(update(Booking).where(mine).values(day=day))
    await session.commit()
