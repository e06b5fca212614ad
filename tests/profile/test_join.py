"""What was measured against what the code says: a wrong guess costs the candidate its place, and is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cache_strategy.model.evidence import EndpointMeasurement, Measurement, Observation
from cache_strategy.plan import plan
from cache_strategy.profile import profile
from cache_strategy.profile.join import confronted
from cache_strategy.report import render_html, render_markdown

SHOP = Path(__file__).parents[1] / "apps" / "flask_shop"
PRODUCT = "GET /api/products/{product_id}"


@pytest.fixture(scope="module")
def evidence():
    return profile(SHOP)


def share(value, n=40):
    return Measurement(value=value, unit="share", source="measured", where="trace load", n=n)


def measured(evidence, target, cookies=(), reads=(), **figures):
    item = EndpointMeasurement(id=target, figures=figures, cookies=cookies, reads=reads)
    return confronted(replace(evidence, measurements=(item,)))


def shared_endpoint(evidence):
    return next(
        c
        for c in evidence.candidates
        if c.kind == "endpoint" and not c.per_user and "http" in c.layers and not c.against
    )


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (
            {"differs_between_users_share": share(0.25)},
            "10 of 40 answers to the same question differ between users",
        ),
        (
            {"unexplained_change_share": share(0.5, 10)},
            "5 of 10 answers differ from the one before with no write",
        ),
        ({"cookies": ("session",)}, "it sets the cookie session"),
    ],
)
def test_an_endpoint_that_the_code_calls_shared_is_not_cached_when_its_answers_say_otherwise(
    evidence, figures, said
):
    candidate = shared_endpoint(evidence)
    target = f"{candidate.path}:{candidate.qualname}"
    found = measured(evidence, candidate.endpoints[0], **figures)
    assert candidate.endpoints[0] in {c.target for c in found.contradictions}
    assert said in found.contradictions[0].measured
    assert any(r.qualname == candidate.qualname and said in r.reason for r in found.rejected)
    contract = plan(found)
    assert target not in {e.target for e in contract.entries if e.kind == "endpoint"}
    for text in (
        render_markdown(found, contract, None, None, None),
        render_html(found, contract, None, None, None),
    ):
        assert "What was measured contradicts the code" in text
        assert said in text
    assert [c.rank for c in found.candidates] == list(range(1, len(found.candidates) + 1))


def test_a_function_whose_result_differs_between_users_is_not_cached(evidence):
    candidate = next(
        c for c in evidence.candidates if c.kind == "function" and not c.per_user and not c.against
    )
    found = measured(evidence, f"{candidate.path}:{candidate.qualname}", differs_between_users_share=share(1))
    assert candidate.qualname not in {
        c.qualname for c in found.candidates if c.kind == "function" and c.path == candidate.path
    }


@pytest.mark.parametrize(
    "figures",
    [
        {"differs_between_users_share": share(0)},
        {"unexplained_change_share": share(0.5, 2)},
        {"change_share": share(1)},
    ],
)
def test_what_contradicts_nothing_changes_nothing(evidence, figures):
    found = measured(evidence, shared_endpoint(evidence).endpoints[0], **figures)
    assert (found.contradictions, found.candidates) == ((), evidence.candidates)


def test_an_answer_that_is_the_same_for_all_stays_private_and_is_told(evidence):
    candidate = next(c for c in evidence.candidates if c.per_user and c.kind == "endpoint")
    found = measured(evidence, candidate.endpoints[0], differs_between_users_share=share(0))
    assert "none of 40 answers" in found.contradictions[0].measured
    assert found.candidates == evidence.candidates


def test_a_table_that_only_the_database_knew_of_is_told(evidence):
    seen = measured(evidence, PRODUCT, reads=("users", "products", "pg_class"))
    assert [c.measured for c in seen.contradictions] == ["its statements also use users"]


def test_reads_per_write_come_from_the_log_and_the_database_together(evidence):
    endpoint = next(e for e in evidence.endpoints if e.id == PRODUCT)
    per_hour = Measurement(value=2, unit="writes/hour", source="measured", where="PostgreSQL x, 10.0 h", n=20)
    tables = tuple(
        Observation(kind="table", name=name, figures={"writes_per_hour": per_hour}) for name in endpoint.reads
    )
    asked = Measurement(value=1000, unit="requests/hour", source="measured", where="access.log", n=9)
    item = EndpointMeasurement(id=PRODUCT, figures={"requests_per_hour": asked})
    figures = confronted(replace(evidence, measurements=(item,), observations=tables)).measurements[0].figures
    assert figures["writes_per_hour"].value == 2 * len(tables)
    assert figures["reads_per_write"].value == pytest.approx(500 / len(tables), abs=0.01)
    assert (figures["reads_per_write"].source, figures["writes_per_hour"].source) == ("derived", "derived")
