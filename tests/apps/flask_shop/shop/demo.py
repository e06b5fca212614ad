"""Demonstration data: the same on every run."""

from datetime import timedelta
from decimal import Decimal
from random import Random

from flask import current_app
from sqlalchemy import insert
from werkzeug.security import generate_password_hash

from .extensions import db
from .models import Category, Order, OrderLine, Permission, Product, Setting, Tag, User, now, product_tags

PASSWORD = "demo"
CATEGORIES = ("Books", "Games", "Garden", "Kitchen", "Music", "Outdoor", "Toys", "Travel")
TAGS = ("new", "sale", "gift", "handmade", "local")


def fill(users=100, products=400, orders=1000, seed=1):
    """
    Add users, products and orders to an empty database.

    The first user, staff@example.org, may do everything; everybody's password is PASSWORD.
    """
    random = Random(seed)
    add = db.session.execute
    start = now() - timedelta(days=60)
    password = generate_password_hash(PASSWORD, method=current_app.config["PASSWORD_METHOD"])
    emails = ["staff@example.org", *(f"user{n}@example.org" for n in range(1, users))]
    names = [email.partition("@")[0].title() for email in emails]
    accounts = [
        {"email": email, "name": name, "password_hash": password, "created_at": start}
        for email, name in zip(emails, names, strict=True)
    ]
    user_ids = insert_all(User, accounts)
    add(insert(Permission), [{"user_id": user_ids[0], "name": name} for name in ("catalog", "reports")])
    add(insert(Setting), [{"name": "title", "value": "Shop"}, {"name": "banner", "value": "Welcome"}])
    groups = [{"slug": n.lower(), "name": n, "popular": n < "H"} for n in CATEGORIES]
    category_ids = insert_all(Category, groups)
    tag_ids = insert_all(Tag, [{"name": name} for name in TAGS])
    goods = [
        {
            "name": f"Product {number:03}",
            "description": "Made with care. " * random.randint(1, 20),
            "price": Decimal(random.randint(100, 9999)) / 100,
            "stock": 1_000_000,
            "featured": number % 50 == 0,
            "category_id": random.choice(category_ids),
        }
        for number in range(products)
    ]
    product_ids = insert_all(Product, goods)
    pairs = [{"product_id": p, "tag_id": t} for p in product_ids for t in random.sample(tag_ids, 2)]
    add(insert(product_tags), pairs)
    prices = dict(zip(product_ids, (good["price"] for good in goods), strict=True))
    for _ in range(orders):
        bought = random.sample(product_ids, random.randint(1, 3))
        lines = [OrderLine(product_id=p, quantity=random.randint(1, 3), price=prices[p]) for p in bought]
        total = sum(line.price * line.quantity for line in lines)
        day = start + timedelta(days=random.randint(0, 59))
        db.session.add(Order(user_id=random.choice(user_ids), total=total, created_at=day, lines=lines))
    db.session.commit()


def insert_all(model, rows):
    """Insert rows with one statement; returns their ids in the same order."""
    return list(db.session.scalars(insert(model).returning(model.id, sort_by_parameter_order=True), rows))
