"""The contract as a file: it reads well, survives a round trip, and every mistake is named with its line."""

import dataclasses

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_strategy.model.contract import (
    Contract,
    ContractApplication,
    ContractRejection,
    Dependency,
    Entry,
    Http,
    Infrastructure,
    Invalidator,
    Redis,
    StaticAssets,
    Warming,
)
from cache_strategy.model.errors import CacheStrategyError
from cache_strategy.model.evidence import KeyPart
from cache_strategy.plan.document import is_untouched, parse, read, render

ENTRY = Entry(
    id="user-profile",
    target="shop/accounts.py:get_user_profile",
    kind="function",
    layers=("memory", "redis"),
    key=(KeyPart(name="user_id", source="argument"),),
    ttl_seconds=300,
    depends_on=(Dependency(table="users", row="user_id"),),
    invalidated_by=(
        Invalidator(
            writer="shop/accounts.py:update_user",
            tables=("users",),
            how="write-through",
            call="user_id=user_id",
        ),
    ),
    because=("read on every request",),
    data="users",
    warming=(Warming(when="deploy", keys="SELECT id FROM users\nORDER BY id", limit=10),),
)
CONTRACT = Contract(
    application=ContractApplication(
        framework="flask",
        package="shop",
        package_path="shop",
        factory="shop:create_app",
        instance="",
        database="shop.extensions:db",
        session="db.session",
        requirements=("requirements.txt",),
    ),
    infrastructure=Infrastructure(redis=Redis(namespace="shop"), cdn=("nginx",), static=StaticAssets()),
    entries=(ENTRY,),
    rejected=(ContractRejection(target="shop/views.py:me", reason="per user"),),
)


def test_a_contract_is_plain_yaml_and_comes_back_as_it_was_written():
    text = render(CONTRACT)
    assert parse(text) == CONTRACT
    assert yaml.safe_load(text)["entries"][0]["id"] == "user-profile"


def test_an_edit_is_recognised_and_so_is_its_absence():
    text = render(CONTRACT)
    assert is_untouched(text)
    for edited in (
        text.replace("300", "301"),
        text + "\n",
        "# mine\n" + text,
        text.replace("# fingerprint: ", "# f: "),
    ):
        assert not is_untouched(edited)


def test_how_old_an_answer_may_be_is_asked_once_for_each_kind_of_data():
    kinds = {"me": "profile", "user": "profile", "tags": "reference"}
    confirmed = dataclasses.replace(ENTRY, staleness_source="confirmed")
    entries = [dataclasses.replace(ENTRY, id=name, data=kind) for name, kind in kinds.items()]
    text = render(dataclasses.replace(CONTRACT, entries=(*entries, confirmed)))
    asked = [line for line in text.splitlines() if "is usual" in line]
    assert asked == ["#   profile, 300 is usual: me, user", "#   reference, 86400 is usual: tags"]
    assert "seconds old" not in render(dataclasses.replace(CONTRACT, entries=(confirmed,)))


def test_a_contract_without_entries_says_what_stands_against_the_first_candidates():
    text = render(dataclasses.replace(CONTRACT, entries=()))
    assert "#   shop/views.py:me: per user\nentries: []" in text


def event(writer: str, *tables: str, writes: str = "orm") -> Invalidator:
    return Invalidator(writer=f"shop/accounts.py:{writer}", tables=tables, how="event", writes=writes)


def test_a_writer_of_several_entries_is_written_once():
    users, orders = Dependency(table="users"), Dependency(table="orders")
    lists = {
        "users": ((users,), (event("rename", "users"), event("fill", "users"))),
        "orders": ((orders,), (event("fill", "orders"), event("order", "orders", writes="bulk"))),
        "both": ((users, orders), (event("rename", "users"), event("fill", "orders", "users"))),
        "by-hand": ((users,), ENTRY.invalidated_by),
        "nothing": ((Dependency(table="tags"),), ()),
    }
    entries = tuple(
        dataclasses.replace(ENTRY, id=name, depends_on=depends_on, invalidated_by=writers, key=(), warming=())
        for name, (depends_on, writers) in lists.items()
    )
    contract = dataclasses.replace(CONTRACT, entries=entries)
    text = render(contract)
    assert parse(text) == contract
    assert text.count("accounts.py:order") == 1
    assert text.count("invalidated_by:") == 2  # both misses one, and by-hand has a way of its own
    assert text.index(":rename") < text.index(":fill") < text.index(":order")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("writer: ../a.py:f, tables: [users]", "leads outside"),
        ("writer: a.py:f, tables: [users], how: tag", "stands in an entry's own"),
        ("writer: a.py:f", "tables is missing"),
    ],
)
def test_a_wrong_writer_is_named_with_its_line(line, says):
    text = render(CONTRACT).replace("\nentries:", f"\nwriters:\n  - {{{line}}}\nentries:")
    with pytest.raises(CacheStrategyError, match=says) as error:
        parse(text)
    assert str(error.value).startswith(f"cache-strategy.yaml:{line_of(text, line)}: ")


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("ttl_seconds: 300", 'ttl_seconds: "5m"', "ttl_seconds", "whole number"),
        ("ttl_seconds: 300", "ttl_seconds: 0", "ttl_seconds", "at least 1"),
        ("ttl_seconds: 300", "ttl: 300", "  ttl: 300", "is not a field"),
        ("ttl_seconds: 300", "ttl_seconds: 300\n    ttl_seconds: 400", "ttl_seconds: 400", "twice"),
        ("layers: [memory, redis]", "layers: [memory, disk]", "layers", "is not one of memory, redis,"),
        ("kind: function", "kind: thing", "kind: thing", "is not one of function, endpoint, view"),
        ("row: user_id", "row: id", "row: id", "not in the key"),
        ("id: user-profile", "id: User Profile", "User Profile", "lower case"),
        ("target: shop/accounts.py:get_user_profile", "target: get_user_profile", "target:", "path:function"),
        ("how: write-through", "how: magic", "magic", "is not one of ttl, write-through, event, tag"),
        (", call: user_id=user_id", "", "write-through", "the key at the writer"),
        ("data: users", "data: users\n    window_seconds: 5", "window_seconds", "above"),
        ("layers: [memory, redis]", "layers: [http]", "layers", "http is for endpoints"),
        ("framework: flask", "framework: [", "package: shop", "is not YAML"),
        ("schema: 1", "schema: 2", "schema: 2", "this version knows 1"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(old, new, where, says):
    text = render(CONTRACT)
    assert old in text
    broken = text.replace(old, new, 1)
    with pytest.raises(CacheStrategyError) as error:
        parse(broken)
    message = str(error.value)
    assert "\n" not in message
    assert says in message
    if "is not YAML" not in says:
        assert message.startswith(f"cache-strategy.yaml:{line_of(broken, where)}: "), message


def test_a_public_header_on_a_users_answer_is_refused():
    key = (KeyPart(name="user_id", source="user", expression="session.get('user_id')"),)
    http = Http(cache_control="public, max-age=60")
    entry = dataclasses.replace(ENTRY, kind="endpoint", layers=("redis", "http"), key=key, http=http)
    with pytest.raises(CacheStrategyError, match="says public"):
        parse(render(dataclasses.replace(CONTRACT, entries=(entry,))))


def test_two_entries_may_not_share_a_name():
    with pytest.raises(CacheStrategyError, match="there twice"):
        parse(render(dataclasses.replace(CONTRACT, entries=(ENTRY, ENTRY))))


def test_a_file_that_is_not_there_or_no_text_says_so(tmp_path):
    file = tmp_path / "cache-strategy.yaml"
    with pytest.raises(CacheStrategyError, match="cache-strategy plan"):
        read(file)
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(CacheStrategyError, match="UTF-8"):
        read(file)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_contract_or_one_line(text):
    try:
        parse(text)
    except CacheStrategyError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=60), max_size=3), st.text(max_size=80), st.integers(1, 10**9))
def test_any_words_in_a_contract_survive(because, note, ttl):
    entry = dataclasses.replace(ENTRY, because=tuple(because), note=note, ttl_seconds=ttl)
    contract = dataclasses.replace(CONTRACT, entries=(entry,))
    again = parse(render(contract)).entries[0]
    assert again.ttl_seconds == ttl
    assert len(again.because) == len(because)
