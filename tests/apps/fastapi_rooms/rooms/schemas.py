from pydantic import BaseModel, ConfigDict


class FromRow(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class UserOut(FromRow):
    name: str


class TagOut(FromRow):
    name: str


class RoomOut(FromRow):
    id: int
    name: str
    tags: list[TagOut]


class RoomIn(BaseModel):
    name: str
    seats: int = 1
    tags: list[str] = []


class BookingOut(FromRow):
    day: str
    user: UserOut


class RoomWithBookings(RoomOut):
    bookings: list[BookingOut]
