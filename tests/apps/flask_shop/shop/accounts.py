from sqlalchemy import func, select
from werkzeug.security import check_password_hash

from .events import user_updated
from .extensions import db
from .models import Order, Permission, User, now

EDITABLE = ("name", "city")


def get_user_profile(user_id):
    """What everybody may know about a user."""
    user = db.get_or_404(User, user_id)
    orders = select(func.count()).select_from(Order).where(Order.user_id == user_id)
    return {
        "id": user.id,
        "name": user.name,
        "city": user.city,
        "member_since": user.created_at.date(),
        "orders": db.session.scalar(orders),
    }


def update_user(user_id, data):
    user = db.get_or_404(User, user_id)
    for field in EDITABLE:
        if field in data:
            setattr(user, field, data[field])
    db.session.commit()
    user_updated.send(user_id)


def get_permissions(user_id):
    """The names of what a user may do, sorted."""
    names = select(Permission.name).where(Permission.user_id == user_id).order_by(Permission.name)
    return list(db.session.scalars(names))


def grant(user_id, permission):
    if db.session.get(Permission, (user_id, permission)) is None:
        db.session.add(Permission(user_id=user_id, name=permission))
        db.session.commit()


def revoke(user_id, permission):
    Permission.query.filter_by(user_id=user_id, name=permission).delete()
    db.session.commit()


def recently_active_users(limit=1000):
    """Ids of the users who logged in last, latest first."""
    seen = select(User.id).where(User.last_seen_at.is_not(None))
    return list(db.session.scalars(seen.order_by(User.last_seen_at.desc()).limit(limit)))


def check_password(email, password):
    """The id of the user with this e-mail address and password, else None."""
    user = User.query.filter_by(email=email).one_or_none()
    if user is None or not check_password_hash(user.password_hash, password):
        return None
    user.last_seen_at = now()
    db.session.commit()
    return user.id
