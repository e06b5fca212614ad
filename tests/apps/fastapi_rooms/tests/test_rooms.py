"""Every page shows every write at once, to whom it is for, with the caches on and off."""

import pytest
from rooms.models import Booking, Room, Tag, User
from sqlalchemy import text, update

READERS = [{}, {"Authorization": "Bearer ann"}, {"Authorization": "Bearer bob"}] * 2
BOOKINGS = "/api/v1/rooms/1/bookings"


def ann(method, path, **more):
    def write(client, session):
        assert client.request(method, path, headers=READERS[1], **more).status_code < 300

    return write


def row(kind, key, **values):
    def write(client, session):
        for name, value in values.items():
            setattr(session.get(kind, key), name, value)
        session.commit()

    return write


def statement(query):
    def write(client, session):
        session.execute(query)
        session.commit()

    return write


# What is written, the page, and what the page shows then and did not before; or the other way round, with "-".
WRITES = {
    "a booking": (ann("POST", "/api/v1/bookings", json={"room_id": 1, "day": "Friday"}), BOOKINGS, "Friday"),
    "a booking, counted": (ann("POST", "/api/v1/bookings", json={"room_id": 1, "day": "Friday"}), "/reports/busiest", '"bookings":2'),
    "another day": (ann("PUT", "/api/v1/bookings/100?day=Sunday"), BOOKINGS, "Sunday"),
    "a booking goes": (ann("DELETE", "/api/v1/bookings/100"), "/reports/busiest", "-Attic"),
    "a room goes": (ann("DELETE", "/api/v1/rooms/1"), "/reports/busiest", "-Attic"),
    "a room goes, itself": (ann("DELETE", "/api/v1/rooms/1"), "/api/v1/rooms/1", "-Attic"),
    "a room's name": (row(Room, 1, name="Loft"), "/api/v1/rooms/1", "Loft"),
    "a room's name, in its bookings": (row(Room, 1, name="Loft"), BOOKINGS, "Loft"),
    "a room's name, in bulk": (statement(update(Room).values(name="Loft")), "/reports/busiest", "Loft"),
    "a room's name, in SQL": (statement(text("UPDATE rooms SET name = 'Loft'")), "/api/v1/rooms/1", "Loft"),
    "a tag's name": (row(Tag, 1, name="calm"), "/api/v1/rooms/1", "calm"),
    "a tag is taken off": (statement(text("DELETE FROM room_tags")), "/api/v1/rooms/1", "-quiet"),
    "a user's name": (row(User, 1, name="Anna"), BOOKINGS, "Anna"),
    "a booking by its row": (row(Booking, 100, day="Tuesday"), BOOKINGS, "Tuesday"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_seen_by_the_next_reader(client, session, name):
    write, page, shown = WRITES[name]
    before = {client.get(page, headers=headers).text for headers in READERS}
    assert len(before) == 1
    write(client, session)
    after = {client.get(page, headers=headers).text for headers in READERS}
    there, gone = (after, before) if shown[0] != "-" else (before, after)
    assert all(shown.lstrip("-") in page for page in there), there
    assert not any(shown.lstrip("-") in page for page in gone), gone


def test_what_was_rolled_back_is_not_seen(client, session):
    before = client.get(BOOKINGS).text
    session.execute(text("UPDATE bookings SET day = 'Never'"))
    assert client.get(BOOKINGS).text == before
    session.rollback()
    assert client.get(BOOKINGS).text == before


def test_guards_are_asked_each_time(client, session):
    for headers in READERS:
        answer = client.get("/api/v1/bookings", headers=headers)
        assert answer.status_code == (200 if headers else 401)
        assert client.delete("/api/v1/rooms/2", headers=READERS[2]).status_code == 403
        assert client.get("/api/v1/rooms/7").status_code == 404


def test_an_answer_is_the_same_whoever_computed_it(client, session):
    answers = [client.get("/api/v1/rooms/1") for _ in range(3)]
    assert len({(answer.text, answer.headers["content-type"]) for answer in answers}) == 1
    assert answers[0].json() == {"id": 1, "name": "Attic", "tags": [{"name": "quiet"}]}
