import pytest
from shop import accounts
from werkzeug.exceptions import NotFound


def test_a_profile_is_public(shop):
    assert shop.get("/api/users/{ada}") == {
        "id": shop.ids["ada"],
        "name": "Ada",
        "city": "",
        "member_since": "2024-02-29",
        "orders": 0,
    }


def test_an_unknown_profile_is_not_found_until_and_after_somebody_asks(shop, visitor):
    for _ in range(2):
        assert visitor.get("/api/users/0").status_code == 404


def test_a_user_changes_their_profile_and_everybody_sees_it(shop, ada, visitor):
    path = f"/api/users/{shop.ids['ada']}"
    assert visitor.get(path).json["city"] == visitor.get(path).json["city"] == ""
    for city in ("London", "Turin", "", "London"):
        assert ada.put(path, json={"city": city}).json["city"] == city
        assert visitor.get(path).json["city"] == city
        assert visitor.get(path).json["city"] == city


def test_a_user_cannot_change_the_profile_of_another(shop, bob):
    path = f"/api/users/{shop.ids['ada']}"
    assert bob.put(path, json={"name": "Eve"}).status_code == 403
    assert bob.get(path).json["name"] == "Ada"


def test_a_profile_change_without_login_is_refused(shop, visitor):
    assert visitor.put(f"/api/users/{shop.ids['ada']}", json={"name": "Eve"}).status_code == 401


def test_only_name_and_city_can_be_changed(shop, ada):
    ada.put(f"/api/users/{shop.ids['ada']}", json={"email": "eve@example.org", "id": 1, "name": "Ada L."})
    me = shop.get("/me", ada)
    assert (me["id"], me["email"], me["name"]) == (shop.ids["ada"], "ada@example.org", "Ada L.")


def test_a_wrong_password_does_not_log_in(shop, visitor):
    for email, password in (("ada@example.org", "wrong"), ("eve@example.org", "wrong"), (None, "")):
        response = visitor.post("/login", json={"email": email, "password": password})
        assert response.status_code == 401
        assert "Wrong" in response.json["error"]
    assert visitor.get("/me").status_code == 401


def test_me_needs_a_login(visitor, shop):
    for _ in range(2):
        assert visitor.get("/me").status_code == 401


def test_two_users_see_their_own_me(shop, ada, bob):
    for _ in range(2):
        assert shop.get("/me", ada)["name"] == "Ada"
        assert shop.get("/me", bob)["name"] == "Bob"
        assert shop.get("/me", ada)["email"] == "ada@example.org"
        assert shop.get("/me", bob)["email"] == "bob@example.org"


def test_a_browser_that_changes_its_user_sees_the_new_one(shop, ada):
    assert shop.get("/me", ada)["name"] == "Ada"
    ada.post("/login", json={"email": "bob@example.org", "password": "correct horse"})
    assert shop.get("/me", ada)["name"] == "Bob"


def test_after_logout_me_is_closed_again(shop, ada):
    assert ada.get("/me").status_code == 200
    assert ada.post("/logout").status_code == 204
    assert ada.get("/me").status_code == 401


def test_a_granted_permission_works_at_once_and_a_revoked_one_no_more(shop, ada):
    def allowed():
        return ada.get("/api/reports/daily-sales").status_code

    assert [allowed(), allowed()] == [403, 403]
    with shop.app.app_context():
        accounts.grant(shop.ids["ada"], "reports")
    assert [allowed(), allowed()] == [200, 200]
    assert shop.get("/me", ada)["permissions"] == ["reports"]
    with shop.app.app_context():
        accounts.revoke(shop.ids["ada"], "reports")
    assert [allowed(), allowed()] == [403, 403]
    assert shop.get("/me", ada)["permissions"] == []


def test_the_profile_is_the_same_through_the_function(shop):
    with shop.app.app_context():
        for _ in range(2):
            profile = accounts.get_user_profile(shop.ids["ada"])
            assert profile["member_since"].isoformat() == "2024-02-29"
            profile["name"] = "changed by the caller"
        assert accounts.get_user_profile(shop.ids["ada"])["name"] == "Ada"
        with pytest.raises(NotFound):
            accounts.get_user_profile(0)
