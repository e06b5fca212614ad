"""
Drives the shop through its WSGI interface: a seeded mix of reads and 5 % writes.

Usage:
    DATABASE_URL=postgresql://… python load.py [REQUESTS] [--seed N]

Products, users and categories are asked for by a Zipf law (a few are asked for most of the time). An empty
database gets the tables and the demonstration data first. Exit codes: 0 all answers were as they should be,
1 some were not, 2 wrong usage or no database.
"""

import argparse
import itertools
import os
import random
import sys
import time
from bisect import bisect
from collections import Counter

from shop import create_app, demo
from shop.extensions import db
from shop.models import Category, Product, User
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

WRITE_SHARE = 0.05
READS = {
    "product": 25,
    "product_page": 25,
    "products_of_category": 16,
    "all_products": 2,
    "profile": 12,
    "category": 6,
    "home": 6,
    "me": 6,
    "daily_sales": 2,
}
WRITES = {"order": 60, "change_product": 25, "change_user": 15}
CUSTOMERS = 5


class Zipf:
    """Draws items so that the one of rank r comes with a probability proportional to 1 / r."""

    def __init__(self, chance, items):
        self.chance = chance
        self.items = chance.sample(items, len(items))
        self.weights = list(itertools.accumulate(1 / rank for rank in range(1, len(items) + 1)))

    def draw(self):
        return self.items[bisect(self.weights, self.chance.random() * self.weights[-1])]


class Load:
    """One method per kind of request; each returns the response."""

    def __init__(self, app, chance):
        with app.app_context():
            accounts = db.session.execute(select(User.id, User.email).order_by(User.id)).all()
            self.products = Zipf(chance, list(db.session.scalars(select(Product.id).order_by(Product.id))))
            groups = db.session.execute(select(Category.id, Category.slug).order_by(Category.id)).all()
        self.chance = chance
        self.users = Zipf(chance, [account.id for account in accounts])
        self.categories = Zipf(chance, [tuple(group) for group in groups])
        self.visitor = app.test_client()
        self.staff = self.logged_in(app, accounts[0].email)
        self.customers = [
            (account.id, self.logged_in(app, account.email)) for account in accounts[1 : CUSTOMERS + 1]
        ]

    def logged_in(self, app, email):
        client = app.test_client()
        answer = client.post("/login", json={"email": email, "password": demo.PASSWORD})
        if answer.status_code != 200:
            sys.exit(f"{email} cannot log in: this database does not hold the demonstration data.")
        return client

    def customer(self):
        return self.chance.choice(self.customers)

    def anyone(self):
        return self.visitor if self.chance.random() < 0.7 else self.customer()[1]

    def product(self):
        return self.anyone().get(f"/api/products/{self.products.draw()}")

    def product_page(self):
        return self.anyone().get(f"/products/{self.products.draw()}")

    def products_of_category(self):
        return self.anyone().get("/api/products", query_string={"category": self.categories.draw()[1]})

    def all_products(self):
        return self.anyone().get("/api/products")

    def profile(self):
        return self.anyone().get(f"/api/users/{self.users.draw()}")

    def category(self):
        return self.anyone().get(f"/api/categories/{self.categories.draw()[0]}")

    def home(self):
        return self.anyone().get("/")

    def me(self):
        return self.customer()[1].get("/me")

    def daily_sales(self):
        return self.staff.get("/api/reports/daily-sales")

    def order(self):
        bought = {self.products.draw() for _ in range(2)}
        lines = [{"product_id": product_id, "quantity": 1} for product_id in sorted(bought)]
        return self.customer()[1].post("/api/orders", json={"lines": lines})

    def change_product(self):
        data = {"price": str(self.chance.randint(100, 9999) / 100)}
        if self.chance.random() < 0.3:
            data["category"] = self.categories.draw()[1]
        return self.staff.put(f"/api/products/{self.products.draw()}", json=data)

    def change_user(self):
        user_id, client = self.customer()
        return client.put(f"/api/users/{user_id}", json={"city": f"City {self.chance.randint(1, 50)}"})


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Drive the shop: a seeded mix of reads and 5 %% writes.")
    parser.add_argument("requests", nargs="?", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if "DATABASE_URL" not in os.environ:
        parser.error("DATABASE_URL is not set; set it to a PostgreSQL database, postgresql://...")

    app = create_app()
    try:
        with app.app_context():
            db.create_all()
            if db.session.scalar(select(User.id).limit(1)) is None:
                demo.fill()
    except OperationalError as error:
        parser.error(f"The database does not answer: {str(error.orig).splitlines()[0]}")

    chance = random.Random(options.seed)
    load = Load(app, chance)
    kinds, statuses, seconds = Counter(), Counter(), Counter()
    for _ in range(options.requests):
        mix = WRITES if chance.random() < WRITE_SHARE else READS
        kind = chance.choices(list(mix), list(mix.values()))[0]
        began = time.perf_counter()
        statuses[getattr(load, kind)().status_code] += 1
        seconds[kind] += time.perf_counter() - began
        kinds[kind] += 1

    total = sum(seconds.values())
    print(
        f"{options.requests} requests in {total:.2f} s, {options.requests / max(total, 1e-9):.0f} per second"
    )
    for kind, count in kinds.most_common():
        print(f"{kind:22} {count:6}  {seconds[kind] / count * 1000:7.2f} ms")
    print("status " + ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
    return 0 if all(status < 400 for status in statuses) else 1


if __name__ == "__main__":
    sys.exit(main())
