from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import selectinload

from .database import Repository
from .models import Booking, Room, Tag


class Rooms(Repository):
    async def some(self, tag: str | None, limit: int, offset: int) -> list[Room]:
        query = select(Room).order_by(Room.id).limit(limit).offset(offset)
        if tag is not None:
            query = query.join(Room.tags).where(Tag.name == tag)
        return list(await self._session.scalars(query))

    async def get(self, room_id: int) -> Room | None:
        return await self._session.get(Room, room_id)

    async def with_bookings(self, room_id: int) -> Room | None:
        found = select(Room).where(Room.id == room_id)
        return await self._session.scalar(
            found.options(selectinload(Room.bookings).selectinload(Booking.user))
        )

    async def tagged(self, names: list[str]) -> list[Tag]:
        return list(await self._session.scalars(select(Tag).where(Tag.name.in_(names))))


class Statistics(Repository):
    BUSIEST = """
        WITH counts AS (SELECT room_id, count(*) AS n FROM bookings GROUP BY room_id)
        SELECT rooms.name, counts.n FROM rooms JOIN counts ON counts.room_id = rooms.id ORDER BY n DESC LIMIT 5
    """
    ARCHIVE = "INSERT INTO events (text) SELECT 'booked ' || day FROM bookings WHERE day < :day"

    async def busiest(self) -> list[dict[str, Any]]:
        rows = await self._session.execute(text(self.BUSIEST))
        return [{"name": row.name, "bookings": row.n} for row in rows]

    async def archive(self, day: str) -> None:
        await self._session.execute(text(self.ARCHIVE), {"day": day})
        await self._session.commit()
