"""SQLAlchemy 1.3 to 2.x, plain and through Flask-SQLAlchemy and SQLModel."""

from cache_strategy.profile.orms._base import Orm
from cache_strategy.profile.orms.sqlalchemy import models, queries, sessions
from cache_strategy.profile.orms.sqlalchemy.names import canonical

orm = Orm(
    __name__,
    packages=("sqlalchemy", "flask_sqlalchemy", "sqlmodel"),
    structural=models.STRUCTURAL,
    canonical=canonical,
    start=models.start,
    bases=models.bases,
    attribute=queries.attribute,
    call=sessions.call,
    method=sessions.method,
    iterate=queries.run,
    unresolved=sessions.unresolved,
)
