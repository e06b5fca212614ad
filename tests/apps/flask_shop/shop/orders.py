from flask import abort
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from .events import order_placed
from .extensions import db
from .models import Order, OrderLine, Product


def place_order(user_id, lines):
    """Order products for a user: lines are {"product_id", "quantity"}; returns the order's id."""
    order = Order(user_id=user_id, total=0)
    for line in lines:
        if line["quantity"] < 1:
            abort(400, "A quantity is at least 1.")
        product = db.get_or_404(Product, line["product_id"])
        order.lines.append(OrderLine(product_id=product.id, quantity=line["quantity"], price=product.price))
        order.total += product.price * line["quantity"]
    db.session.add(order)
    try:
        order_placed.send(order)
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        abort(409, "Not enough in stock.")
    return order.id


def recent_orders(user_id, limit=10):
    orders = select(Order).filter_by(user_id=user_id).order_by(Order.id.desc()).limit(limit)
    return [
        {
            "id": order.id,
            "total": order.total,
            "lines": [{"product": line.product.name, "quantity": line.quantity} for line in order.lines],
        }
        for order in db.session.scalars(orders)
    ]


def daily_sales():
    """Orders and revenue per day (UTC), oldest first."""
    rows = db.session.execute(
        text(
            """
            SELECT DATE(created_at AT TIME ZONE 'UTC') AS day,
                   COUNT(*) AS order_count,
                   SUM(total) AS revenue
            FROM orders
            GROUP BY DATE(created_at AT TIME ZONE 'UTC')
            ORDER BY day
            """
        )
    )
    return [{"day": row.day, "order_count": row.order_count, "revenue": row.revenue} for row in rows]
