from decimal import Decimal

from flask import abort
from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload, selectinload

from .events import product_updated
from .extensions import db
from .models import Category, OrderLine, Product, Setting, Tag

EDITABLE = ("name", "description", "price", "stock", "featured")


def get_settings():
    return {setting.name: setting.value for setting in db.session.scalars(select(Setting))}


def set_setting(name, value):
    db.session.merge(Setting(name=name, value=value))
    db.session.commit()


def navigation():
    """The categories of the menu on every page."""
    return [{"slug": c.slug, "name": c.name} for c in Category.query.order_by(Category.name).all()]


def get_category(category_id):
    category = db.get_or_404(Category, category_id)
    products = select(func.count()).select_from(Product).where(Product.category_id == category_id)
    return {
        "id": category.id,
        "slug": category.slug,
        "name": category.name,
        "popular": category.popular,
        "product_count": db.session.scalar(products),
    }


def update_category(category_id, data):
    category = db.get_or_404(Category, category_id)
    category.name = data.get("name", category.name)
    category.popular = data.get("popular", category.popular)
    db.session.commit()


def popular_categories():
    popular = select(Category).where(Category.popular).order_by(Category.name)
    return [get_category(category.id) for category in db.session.scalars(popular)]


def list_products(category=None):
    """All products, or those of the category with this slug, by name."""
    products = all_products()
    if category is not None:
        products = products.join(Product.category).where(Category.slug == category)
    return [product.to_dict() for product in db.session.scalars(products)]


def list_tagged(tag):
    products = all_products().where(Product.tags.any(Tag.name == tag))
    return [product.to_dict() for product in db.session.scalars(products)]


def featured_products():
    products = all_products().where(Product.featured)
    return [product.to_dict() for product in db.session.scalars(products)]


def all_products():
    related = (joinedload(Product.category), selectinload(Product.tags))
    return select(Product).options(*related).order_by(Product.name, Product.id)


def best_sellers(limit=5):
    """The products sold most often, with the number of pieces."""
    pieces = func.sum(OrderLine.quantity).label("pieces")
    sold = (
        select(Product.id, Product.name, pieces)
        .join(OrderLine, OrderLine.product_id == Product.id)
        .group_by(Product.id)
        .order_by(pieces.desc(), Product.id)
        .limit(limit)
    )
    return [{"id": row.id, "name": row.name, "pieces": row.pieces} for row in db.session.execute(sold)]


def get_product(product_id):
    return db.get_or_404(Product, product_id).to_dict()


def create_product(data):
    product = Product()
    change(product, data)
    db.session.add(product)
    db.session.commit()
    return product.id


def update_product(product_id, data):
    """Change a product; a new "category" moves it, "tags" replaces them."""
    product = db.get_or_404(Product, product_id)
    change(product, data)
    db.session.commit()
    product_updated.send(product_id)


def change(product, data):
    for field in EDITABLE:
        if field in data:
            setattr(product, field, data[field])
    if "category" in data:
        category = db.session.scalar(select(Category).filter_by(slug=data["category"]))
        product.category = category or abort(400, f"There is no category {data['category']}.")
    if "tags" in data:
        with db.session.no_autoflush:
            product.tags = [tag_named(name) for name in data["tags"]]


def tag_named(name):
    return db.session.scalar(select(Tag).filter_by(name=name)) or Tag(name=name)


def delete_product(product_id):
    db.session.delete(db.get_or_404(Product, product_id))
    db.session.commit()


def change_prices(percent, category=None):
    """Change the price of all products, or of those in a category; returns how many."""
    statement = update(Product).values(price=func.round(Product.price * (1 + Decimal(percent) / 100), 2))
    if category is not None:
        statement = statement.where(
            Product.category_id == select(Category.id).filter_by(slug=category).scalar_subquery()
        )
    result = db.session.execute(statement)
    db.session.commit()
    return result.rowcount
