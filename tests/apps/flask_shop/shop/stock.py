from sqlalchemy import text, update

from .extensions import db
from .models import Product


def take_from_stock(order):
    """An order takes its products from the stock; the table's check refuses what is not there."""
    for line in sorted(order.lines, key=lambda line: line.product_id):  # one order of locks: no deadlock
        db.session.execute(
            update(Product)
            .where(Product.id == line.product_id)
            .values(stock=Product.stock - line.quantity)
            .execution_options(synchronize_session=False)
        )


def restock(level):
    """Fill every product up to a level; returns how many were below it."""
    result = db.session.execute(
        text("UPDATE products SET stock = :level WHERE stock < :level"), {"level": level}
    )
    db.session.commit()
    return result.rowcount
