"""The many ways to spell SQLAlchemy's names, brought to one."""

import re

SESSION = "sqlalchemy.Session()"
CONNECTION = "sqlalchemy.Connection()"
DATABASE = "flask_sqlalchemy.SQLAlchemy()"

_SAME = tuple(
    (f"sqlalchemy.{other}", same)
    for same, others in (
        (
            SESSION,
            """scoped_session()() scoped_session() sessionmaker()() sessionmaker().begin() async_sessionmaker()()
            async_scoped_session() create_session() AsyncSession() Session().begin() Session().begin_nested()
            Session()()""",
        ),
        (
            CONNECTION,
            """Session().connection() create_engine().connect() create_engine().begin()
            create_async_engine().connect() create_async_engine().begin() engine_from_config().connect()
            Engine().connect() Engine().begin() create_engine().raw_connection() Connection().cursor()
            Connection().connection""",
        ),
        ("sqlalchemy.create_engine()", "Session().bind Session().get_bind()"),
    )
    for other in others.split()
)
# Packages that hand a session of SQLAlchemy out: `fastapi_sqlalchemy.db.session`, `flask_sqlalchemy_session.current_session`.
_OTHERS_OF_SESSIONS = (
    *(
        "fastapi_sqlalchemy.",
        "fastapi_async_sqlalchemy.",
        "flask_sqlalchemy_session.",
        "flask_sqlalchemy_lite.",
    ),
    *("aiohttp_sqlalchemy.", "sanic_sqlalchemy.", "starlette_sqlalchemy.", "async_sqlalchemy."),
)
_HANDED_OUT = re.compile(r"(?:\w+(?:\(\))?\.)*(?:async_|current_)?session(?:\(\))?(?=\.|$)")


def canonical(path: str) -> str:
    """
    One spelling of a path into SQLAlchemy: "sqlalchemy.orm.relationship" is "sqlalchemy.relationship", a session of
    any maker "sqlalchemy.Session()", a name of Flask-SQLAlchemy's object the name of SQLAlchemy.
    """
    if path.startswith(_OTHERS_OF_SESSIONS):
        rest = path.partition(".")[2]
        found = _HANDED_OUT.match(rest)
        return path if found is None else SESSION + rest[found.end() :]
    if path.startswith("sqlmodel."):
        head, brackets, rest = path.partition("()")
        name = head.rpartition(".")[2]
        if "SQLModel" in head or (name[:1].isupper() and "sqltypes" in head):
            return path
        path = f"sqlalchemy.{'func.' if '.func.' in head else ''}{name}{brackets}{rest}"
    if path.startswith(DATABASE + "."):
        rest = path[len(DATABASE) + 1 :]
        if rest.partition(".")[0].partition("()")[0] in ("Model", "session", "Query"):
            path = SESSION + rest[7:] if rest.startswith("session") else path
        else:
            path = "sqlalchemy." + rest
    if not path.startswith("sqlalchemy."):
        return path
    head, brackets, rest = path.partition("()")
    parts = head.split(".")
    if len(parts) > 2:
        name = f"func.{parts[-1]}" if "func" in parts[1:-1] else parts[-1]
        path = f"sqlalchemy.{name}{brackets}{rest}"
    changed = True
    while changed:
        changed = False
        for other, same in _SAME:
            if path.startswith(other):
                path = same + path[len(other) :]
                changed = True
                break
    return path
