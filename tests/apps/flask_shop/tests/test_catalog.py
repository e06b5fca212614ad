from decimal import Decimal

import pytest
from shop import catalog


def names(products):
    return [product["name"] for product in products]


def test_a_product_has_its_category_and_tags(shop):
    assert shop.get("/api/products/{atlas}") == {
        "id": shop.ids["atlas"],
        "name": "Atlas",
        "description": "",
        "price": "40.00",
        "stock": 3,
        "featured": False,
        "category": "books",
        "tags": ["gift", "new"],
    }


def test_products_are_listed_by_name(shop):
    for _ in range(2):
        assert names(shop.get("/api/products")) == ["Atlas", "Cards", "Chess", "Novel"]


def test_products_are_listed_by_category(shop):
    for _ in range(2):
        assert names(shop.get("/api/products?category=books")) == ["Atlas", "Novel"]
        assert names(shop.get("/api/products?category=games")) == ["Cards", "Chess"]


def test_an_unknown_category_has_no_products(shop):
    for slug in ("garden", "garden", "None", "", "books,games"):
        assert shop.get(f"/api/products?category={slug}") == []


def test_products_are_listed_by_tag(shop):
    for _ in range(2):
        assert names(shop.get("/api/tags/gift/products")) == ["Atlas", "Novel"]
        assert names(shop.get("/api/tags/new/products")) == ["Atlas"]
        assert names(shop.get("/api/tags/old/products")) == []


def test_a_product_moved_to_another_category_leaves_one_list_and_joins_the_other(shop, staff):
    def lists():
        return [names(shop.get(f"/api/products?category={slug}")) for slug in ("books", "games")]

    def counts():
        return [
            shop.get(path)["product_count"] for path in ("/api/categories/{books}", "/api/categories/{games}")
        ]

    atlas = f"/api/products/{shop.ids['atlas']}"
    for _ in range(2):
        assert (lists(), counts()) == ([["Atlas", "Novel"], ["Cards", "Chess"]], [2, 2])
    assert staff.put(atlas, json={"category": "games"}).json["category"] == "games"
    for _ in range(2):
        assert (lists(), counts()) == ([["Novel"], ["Atlas", "Cards", "Chess"]], [1, 3])
    assert staff.put(atlas, json={"category": "books"}).json["category"] == "books"
    for _ in range(2):
        assert (lists(), counts()) == ([["Atlas", "Novel"], ["Cards", "Chess"]], [2, 2])


def test_a_product_cannot_move_to_an_unknown_category(shop, staff):
    response = staff.put(f"/api/products/{shop.ids['atlas']}", json={"category": "garden", "name": "Globe"})
    assert response.status_code == 400
    assert shop.get("/api/products/{atlas}")["name"] == "Atlas"


@pytest.mark.parametrize("price", ["-1", "NaN", "cheap", None, ["1"]])
def test_a_price_must_be_a_decimal_number(shop, staff, price):
    novel = f"/api/products/{shop.ids['novel']}"
    assert staff.put(novel, json={"price": price}).status_code == 400
    assert staff.get(novel).json["price"] == "9.50"


def test_the_catalog_is_changed_by_staff_only(shop, ada, visitor):
    novel = f"/api/products/{shop.ids['novel']}"
    books = f"/api/categories/{shop.ids['books']}"
    for client, status in ((ada, 403), (visitor, 401)):
        assert client.put(novel, json={"price": "0"}).status_code == status
        assert client.delete(novel).status_code == status
        assert client.post("/api/products", json={}).status_code == status
        assert client.put(books, json={"name": "Mine"}).status_code == status
    assert shop.get("/api/products/{novel}")["price"] == "9.50"
    assert shop.get("/api/categories/{books}")["name"] == "Books"


def test_unknown_products_and_categories_are_not_found(shop, staff):
    for path in ("/api/products/0", "/products/0", "/api/categories/0"):
        for _ in range(2):
            assert staff.get(path).status_code == 404
    assert staff.put("/api/products/0", json={"name": "Ghost"}).status_code == 404
    assert staff.delete("/api/products/0").status_code == 404
    assert staff.put("/api/categories/0", json={"name": "Ghost"}).status_code == 404


def test_a_new_product_is_found_everywhere(shop, staff):
    assert len(shop.get("/api/products")) == len(shop.get("/api/products")) == 4
    next_id = max(shop.ids[name] for name in ("novel", "atlas", "chess", "cards")) + 1
    assert staff.get(f"/api/products/{next_id}").status_code == 404
    data = {"name": "Comic", "price": "7.00", "stock": 1, "category": "books", "tags": ["new", "fun"]}
    created = staff.post("/api/products", json=data)
    assert created.status_code == 201
    assert created.json["id"] == next_id
    assert shop.get(f"/api/products/{next_id}") == {**created.json, "tags": ["fun", "new"]}
    assert names(shop.get("/api/products")) == ["Atlas", "Cards", "Chess", "Comic", "Novel"]
    assert names(shop.get("/api/products?category=books")) == ["Atlas", "Comic", "Novel"]
    assert names(shop.get("/api/tags/new/products")) == ["Atlas", "Comic"]
    assert shop.get("/api/categories/{books}")["product_count"] == 3


def test_a_deleted_product_is_gone_everywhere(shop, staff):
    assert shop.get("/api/products/{chess}")["name"] == "Chess"
    assert names(shop.get("/api/products?category=games")) == ["Cards", "Chess"]
    assert staff.delete(f"/api/products/{shop.ids['chess']}").status_code == 204
    for _ in range(2):
        assert staff.get(f"/api/products/{shop.ids['chess']}").status_code == 404
        assert staff.get(f"/products/{shop.ids['chess']}").status_code == 404
        assert names(shop.get("/api/products?category=games")) == ["Cards"]
        assert shop.get("/api/categories/{games}")["product_count"] == 1


def test_a_change_of_tags_alone_is_seen(shop, staff):
    novel = f"/api/products/{shop.ids['novel']}"
    for tags, gifts in ((["new"], ["Atlas"]), ([], ["Atlas"]), (["gift", "rare"], ["Atlas", "Novel"])):
        assert staff.put(novel, json={"tags": tags}).json["tags"] == tags
        assert shop.get("/api/products/{novel}")["tags"] == tags
        assert names(shop.get("/api/tags/gift/products")) == gifts
        assert all(f"<li>{tag}</li>" in shop.get("/products/{novel}") for tag in tags)


def test_the_price_change_command_reaches_every_page(shop):
    for _ in range(2):
        assert [product["price"] for product in shop.get("/api/products")] == [
            "40.00",
            "4.99",
            "25.00",
            "9.50",
        ]
        assert "9.50" in shop.get("/products/{novel}")
    assert shop.run("change-prices", "--percent", "10") == "4 prices changed\n"
    for _ in range(2):
        assert [product["price"] for product in shop.get("/api/products")] == [
            "44.00",
            "5.49",
            "27.50",
            "10.45",
        ]
        assert "10.45" in shop.get("/products/{novel}")
    assert shop.run("change-prices", "--percent", "-50", "--category", "games") == "2 prices changed\n"
    assert [product["price"] for product in shop.get("/api/products")] == ["44.00", "2.75", "13.75", "10.45"]
    assert shop.get("/api/products/{chess}")["price"] == "13.75"


def test_the_restock_command_reaches_every_page(shop):
    assert "Sold out" in shop.get("/products/{cards}")
    assert shop.get("/api/products/{cards}")["stock"] == 0
    assert shop.run("restock", "--level", "4") == "2 products restocked\n"
    for _ in range(2):
        assert "4 in stock" in shop.get("/products/{cards}")
        assert [product["stock"] for product in shop.get("/api/products")] == [4, 4, 5, 10]


def test_a_renamed_category_is_seen_in_the_menu(shop, staff):
    books = f"/api/categories/{shop.ids['books']}"
    for name in ("Reading", "Books & more", "Books"):
        assert staff.put(books, json={"name": name}).json["name"] == name
        for _ in range(2):
            assert staff.get(books).json["name"] == name
            assert name.replace("&", "&amp;") in shop.get("/products/{chess}")


def test_the_home_page_follows_featured_products_and_popular_categories(shop, staff):
    assert shop.get("/") == shop.get("/")
    assert "Novel</a> 9.50" in shop.get("/")
    assert "Books (2)" in shop.get("/")
    assert "Games (2)" not in shop.get("/")
    staff.put(f"/api/products/{shop.ids['novel']}", json={"featured": False})
    staff.put(f"/api/categories/{shop.ids['games']}", json={"popular": True})
    for _ in range(2):
        assert "Novel</a>" not in shop.get("/")
        assert "Games (2)" in shop.get("/")


def test_a_setting_is_seen_on_the_next_page(shop):
    assert "banner" not in shop.get("/products/{novel}")
    for banner in ("Sale!", "Closed on Sunday"):
        shop.run("set", "banner", banner)
        for _ in range(2):
            assert f'<p class="banner">{banner}</p>' in shop.get("/products/{novel}")
    shop.run("set", "banner", "")
    assert "banner" not in shop.get("/products/{novel}")


def test_the_product_page_greets_the_one_who_looks(shop, ada, bob, visitor):
    for _ in range(2):
        for client, name in ((ada, "Ada"), (bob, "Bob"), (visitor, "guest")):
            page = shop.get("/products/{novel}", client)
            assert f"Hello, {name}" in page
            assert "<h1>Novel</h1>" in page


def test_the_greeting_follows_a_change_of_name(shop, ada):
    assert "Hello, Ada<" in shop.get("/products/{novel}", ada)
    ada.put(f"/api/users/{shop.ids['ada']}", json={"name": "Countess"})
    assert "Hello, Countess<" in shop.get("/products/{novel}", ada)
    assert "Hello, guest<" in shop.get("/products/{novel}")


def test_text_in_pages_is_escaped(shop, staff):
    staff.put(f"/api/products/{shop.ids['novel']}", json={"name": "<script>alert(1)</script>"})
    assert "<script>" not in shop.get("/products/{novel}")


def test_static_files_are_served(visitor, shop):
    page = shop.get("/products/{novel}")
    for path in ("/static/shop.css", "/static/icon.48133844.svg"):
        assert path in page
        assert visitor.get(path).status_code == 200


def test_prices_stay_exact_through_the_functions(shop):
    with shop.app.app_context():
        for _ in range(2):
            assert catalog.get_product(shop.ids["cards"])["price"] == Decimal("4.99")
            assert catalog.list_products("games")[0]["price"] == Decimal("4.99")
            assert catalog.list_products(category="games") == catalog.list_products("games")
            assert catalog.list_products() == catalog.list_products(None)


def test_the_caller_may_change_what_it_got(shop):
    with shop.app.app_context():
        for _ in range(3):
            product = catalog.get_product(shop.ids["atlas"])
            assert product["tags"] == ["gift", "new"]
            product["tags"].clear()
            products = catalog.list_products("books")
            assert names(products) == ["Atlas", "Novel"]
            products.clear()
