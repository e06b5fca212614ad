from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from shop import catalog, orders
from shop.extensions import db
from shop.models import Order, OrderLine
from sqlalchemy import func, select


def order(client, *lines):
    data = {"lines": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in lines]}
    return client.post("/api/orders", json=data)


def test_an_order_takes_from_the_stock_and_is_seen_by_its_user_only(shop, ada, bob):
    assert shop.get("/me", ada)["orders"] == shop.get("/me", ada)["orders"] == []
    assert shop.get("/api/products/{novel}")["stock"] == 10
    placed = order(ada, (shop.ids["novel"], 2), (shop.ids["atlas"], 1))
    assert placed.status_code == 201
    for _ in range(2):
        assert shop.get("/me", ada)["orders"] == [
            {
                "id": placed.json["id"],
                "total": "59.00",
                "lines": [{"product": "Novel", "quantity": 2}, {"product": "Atlas", "quantity": 1}],
            }
        ]
        assert shop.get("/me", bob)["orders"] == []
        assert shop.get("/api/products/{novel}")["stock"] == 8
        assert "8 in stock" in shop.get("/products/{novel}")
        assert [product["stock"] for product in shop.get("/api/products?category=books")] == [2, 8]


def test_an_order_counts_in_the_profile(shop, ada):
    for count in range(3):
        for _ in range(2):
            assert shop.get("/api/users/{ada}")["orders"] == count
            assert shop.get("/api/users/{bob}")["orders"] == 0
        order(ada, (shop.ids["novel"], 1))


def test_an_order_changes_the_daily_sales(shop, staff, ada, bob):
    today = datetime.now(UTC).date().isoformat()
    path = "/api/reports/daily-sales"
    assert shop.get(path, staff) == shop.get(path, staff) == []
    order(ada, (shop.ids["novel"], 2))
    for _ in range(2):
        assert shop.get(path, staff) == [{"day": today, "order_count": 1, "revenue": "19.00"}]
    order(bob, (shop.ids["chess"], 1))
    for _ in range(2):
        assert shop.get(path, staff) == [{"day": today, "order_count": 2, "revenue": "44.00"}]


def test_daily_sales_are_grouped_by_day_oldest_first(shop, staff):
    days = [datetime(2024, 5, 2, 0, 30, tzinfo=UTC), datetime(2024, 5, 1, 23, tzinfo=UTC)]
    with shop.app.app_context():
        assert orders.daily_sales() == []
        for day, total in zip([*days, days[0]], (10, 20, 30), strict=True):
            db.session.add(Order(user_id=shop.ids["ada"], total=total, created_at=day))
        db.session.commit()
        for _ in range(2):
            assert orders.daily_sales() == [
                {"day": date(2024, 5, 1), "order_count": 1, "revenue": Decimal("20.00")},
                {"day": date(2024, 5, 2), "order_count": 2, "revenue": Decimal("40.00")},
            ]


def test_daily_sales_are_for_staff(ada, visitor):
    assert ada.get("/api/reports/daily-sales").status_code == 403
    assert visitor.get("/api/reports/daily-sales").status_code == 401


def test_an_order_that_exceeds_the_stock_changes_nothing(shop, staff, ada):
    def everything():
        return [
            shop.get("/api/products"),
            shop.get("/me", ada),
            shop.get("/api/users/{ada}"),
            shop.get("/api/reports/daily-sales", staff),
            shop.get("/"),
        ]

    before = everything()
    assert order(ada, (shop.ids["novel"], 1), (shop.ids["cards"], 1)).status_code == 409
    assert everything() == before
    assert order(ada, (shop.ids["novel"], 1), (0, 1)).status_code == 404
    assert order(ada, (shop.ids["novel"], 1), (shop.ids["atlas"], -1)).status_code == 400
    assert everything() == before


def test_an_order_needs_a_login(shop, visitor):
    assert order(visitor, (shop.ids["novel"], 1)).status_code == 401
    assert shop.get("/api/products/{novel}")["stock"] == 10


def test_best_sellers_follow_the_orders(shop, ada):
    def best():
        with shop.app.app_context():
            return [(product["name"], product["pieces"]) for product in catalog.best_sellers(limit=2)]

    assert best() == best() == []
    order(ada, (shop.ids["novel"], 2), (shop.ids["chess"], 3))
    assert best() == best() == [("Chess", 3), ("Novel", 2)]
    order(ada, (shop.ids["novel"], 2), (shop.ids["atlas"], 1))
    assert best() == best() == [("Novel", 4), ("Chess", 3)]
    assert "<li>Novel: 4 sold</li>" in shop.get("/")


def test_deleting_a_product_takes_its_order_lines_along(shop, staff, ada):
    order(ada, (shop.ids["novel"], 2), (shop.ids["atlas"], 1))
    for _ in range(2):
        assert "<li>Novel: 2 sold</li>" in shop.get("/")
        assert len(shop.get("/me", ada)["orders"][0]["lines"]) == 2
    staff.delete(f"/api/products/{shop.ids['novel']}")
    for _ in range(2):
        assert "Novel" not in shop.get("/")
        assert shop.get("/me", ada)["orders"][0]["lines"] == [{"product": "Atlas", "quantity": 1}]
        assert shop.get("/me", ada)["orders"][0]["total"] == "59.00"
    with shop.app.app_context():
        assert db.session.scalar(select(func.count()).select_from(OrderLine)) == 1


def test_an_order_line_keeps_the_price_of_its_day(shop, staff, ada):
    order(ada, (shop.ids["novel"], 1))
    staff.put(f"/api/products/{shop.ids['novel']}", json={"price": "12.00", "name": "Long Novel"})
    mine = shop.get("/me", ada)["orders"][0]
    assert (mine["total"], mine["lines"]) == ("9.50", [{"product": "Long Novel", "quantity": 1}])


@pytest.mark.parametrize("quantity", [1, 2])
def test_the_last_pieces_can_be_ordered_once(shop, ada, quantity):
    statuses = [order(ada, (shop.ids["atlas"], quantity)).status_code for _ in range(4)]
    assert statuses.count(201) == 3 // quantity
    assert shop.get("/api/products/{atlas}")["stock"] == 3 % quantity
