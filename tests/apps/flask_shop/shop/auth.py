from functools import wraps

from flask import abort, session

from . import accounts
from .extensions import db
from .models import User


def current_user():
    """The user of this session, None for a visitor."""
    user_id = session.get("user_id")
    return db.session.get(User, user_id) if user_id is not None else None


def login_required(view):
    @wraps(view)
    def guarded(*args, **kwargs):
        if current_user() is None:
            abort(401, "Log in first.")
        return view(*args, **kwargs)

    return guarded


def permission_required(name):
    def decorate(view):
        @wraps(view)
        @login_required
        def guarded(*args, **kwargs):
            if name not in accounts.get_permissions(session["user_id"]):
                abort(403, f"You need the permission {name}.")
            return view(*args, **kwargs)

        return guarded

    return decorate
