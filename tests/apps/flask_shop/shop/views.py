from decimal import Decimal, InvalidOperation

from flask import Blueprint, abort, render_template, request, session
from werkzeug.exceptions import HTTPException

from . import accounts, catalog, orders
from .auth import current_user, login_required, permission_required

bp = Blueprint("shop", __name__)


@bp.app_context_processor
def page_frame():
    return {"navigation": catalog.navigation(), "settings": catalog.get_settings()}


@bp.errorhandler(HTTPException)
def explain(error):
    return {"error": error.description}, error.code


@bp.get("/")
def home():
    return render_template(
        "home.html",
        user=current_user(),
        featured=catalog.featured_products(),
        categories=catalog.popular_categories(),
        best_sellers=catalog.best_sellers(),
    )


@bp.get("/products/<int:product_id>")
def product_page(product_id):
    return render_template("product.html", user=current_user(), product=catalog.get_product(product_id))


@bp.get("/api/users/<int:user_id>")
def get_user(user_id):
    return accounts.get_user_profile(user_id)


@bp.put("/api/users/<int:user_id>")
@login_required
def put_user(user_id):
    if user_id != session["user_id"]:
        abort(403, "This is not your account.")
    accounts.update_user(user_id, request.get_json())
    return accounts.get_user_profile(user_id)


@bp.get("/api/products")
def get_products():
    return catalog.list_products(request.args.get("category"))


@bp.get("/api/tags/<name>/products")
def get_tagged_products(name):
    return catalog.list_tagged(name)


@bp.post("/api/products")
@permission_required("catalog")
def post_product():
    product_id = catalog.create_product(product_data())
    return catalog.get_product(product_id), 201


@bp.get("/api/products/<int:product_id>")
def get_product(product_id):
    return catalog.get_product(product_id)


@bp.put("/api/products/<int:product_id>")
@permission_required("catalog")
def put_product(product_id):
    catalog.update_product(product_id, product_data())
    return catalog.get_product(product_id)


@bp.delete("/api/products/<int:product_id>")
@permission_required("catalog")
def delete_product(product_id):
    catalog.delete_product(product_id)
    return "", 204


def product_data():
    data = request.get_json()
    if "price" in data:
        try:
            data["price"] = Decimal(data["price"])
        except (InvalidOperation, TypeError, ValueError):
            abort(400, "A price is a decimal number in quotes.")
        if not data["price"].is_finite() or data["price"] < 0:
            abort(400, "A price is not negative.")
    return data


@bp.get("/api/categories/<int:category_id>")
def get_category(category_id):
    return catalog.get_category(category_id)


@bp.put("/api/categories/<int:category_id>")
@permission_required("catalog")
def put_category(category_id):
    catalog.update_category(category_id, request.get_json())
    return catalog.get_category(category_id)


@bp.post("/api/orders")
@login_required
def post_order():
    return {"id": orders.place_order(session["user_id"], request.get_json()["lines"])}, 201


@bp.get("/api/reports/daily-sales")
@permission_required("reports")
def get_daily_sales():
    return orders.daily_sales()


@bp.get("/me")
@login_required
def me():
    user = current_user()
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "permissions": accounts.get_permissions(user.id),
        "orders": orders.recent_orders(user.id),
    }


@bp.post("/login")
def login():
    data = request.get_json()
    user_id = accounts.check_password(data.get("email"), data.get("password", ""))
    if user_id is None:
        abort(401, "Wrong e-mail address or password.")
    session.clear()
    session["user_id"] = user_id
    return {"id": user_id}


@bp.post("/logout")
def logout():
    session.clear()
    return "", 204
