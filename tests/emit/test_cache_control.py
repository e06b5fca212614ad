"""What browsers and CDNs are told: never longer than the staleness bound, never public without a person's word."""

import dataclasses

import pytest

from cache_strategy.emit.targets.runtime.code import cache_control_of, split_order
from cache_strategy.model.contract import Entry, Http
from cache_strategy.model.evidence import KeyPart

ENTRY = Entry(
    id="products", target="shop/views.py:products", kind="endpoint", layers=("http",), ttl_seconds=3600,
    key=(KeyPart(name="category", source="query"),), depends_on=(), invalidated_by=(), because=(),
)  # fmt: skip
USER = KeyPart(name="user", source="user", expression="flask_login.current_user.get_id()")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "no-cache"),
        ({"staleness_bound_seconds": 300}, "max-age=300"),
        ({"staleness_bound_seconds": 300, "staleness_source": "confirmed"}, "public, max-age=300"),
        ({"staleness_source": "confirmed"}, "no-cache"),
        ({"key": (USER,)}, "private, no-cache"),
        (
            {"key": (USER,), "staleness_bound_seconds": 60, "staleness_source": "confirmed"},
            "private, max-age=60",
        ),
        ({"http": Http(cache_control="no-store")}, "no-store"),
    ],
)
def test_the_header_follows_the_contract(changes, says):
    assert cache_control_of(dataclasses.replace(ENTRY, **changes)) == says


def test_the_order_of_a_query_is_taken_off_its_view_and_an_inner_one_is_not():
    assert split_order("SELECT a FROM t\nORDER BY a DESC, b;") == ("SELECT a FROM t", "a DESC, b")
    inner = "SELECT a FROM (SELECT b FROM t ORDER BY b LIMIT 3) x"
    assert split_order(inner) == (inner, "")
