import pytest
from fastapi.testclient import TestClient
from rooms.database import URL
from rooms.main import app
from rooms.models import Base, Booking, Room, Tag, User
from sqlalchemy import create_engine
from sqlalchemy.orm import Session


@pytest.fixture(scope="session")
def client():
    with TestClient(app) as client:
        yield client


@pytest.fixture
def session(client):
    """A session of another program's kind, on two rooms with a booking and two users."""
    engine = create_engine(URL)
    with Session(engine) as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
        quiet = Tag(id=1, name="quiet")
        session.add_all(
            [User(id=1, name="Ann", token="ann", is_admin=True), User(id=2, name="Bob", token="bob")]
        )
        session.add_all([Room(id=1, name="Attic", seats=2, tags=[quiet]), Room(id=2, name="Hall", seats=90)])
        session.flush()
        session.add(Booking(id=100, day="Monday", room_id=1, user_id=1))
        session.commit()
        yield session
    engine.dispose()
