from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, HTTPException, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from sqlalchemy import select

from .database import SessionDep
from .models import User

scheme = OAuth2PasswordBearer(tokenUrl="login")
optional_scheme = OAuth2PasswordBearer(tokenUrl="login", auto_error=False)


async def get_user(session: SessionDep, token: Annotated[str, Depends(scheme)]) -> User:
    user = await session.scalar(select(User).where(User.token == token))
    if user is None:
        raise HTTPException(401)
    return user


async def get_visitor(session: SessionDep, token: str | None = Depends(optional_scheme)) -> User | None:
    return await get_user(session, token) if token else None


async def check_scopes(scopes: SecurityScopes, user: Annotated[User, Depends(get_user)]) -> User:
    if "admin" in scopes.scopes and not user.is_admin:
        raise HTTPException(403)
    return user


async def note_visit(session: SessionDep, user: Annotated[User, Depends(get_user)]) -> None:
    user.seen_at = datetime.now(UTC)
    session.add(user)
    await session.commit()


CurrentUser = Annotated[User, Depends(get_user)]
Admin = Annotated[User, Security(check_scopes, scopes=["admin"])]
