"""`cache-strategy report`: everything that is known, as Markdown for people and reviews and as one HTML page."""

from cache_strategy.model.change import ChangeSet
from cache_strategy.model.contract import Contract
from cache_strategy.model.evidence import Evidence
from cache_strategy.model.forecast import Forecast
from cache_strategy.model.verdict import Verdict
from cache_strategy.report.content import Report, collect
from cache_strategy.report.graphs import graphs_of
from cache_strategy.report.templates import render


def render_markdown(
    evidence: Evidence,
    contract: Contract,
    forecast: Forecast | None,
    verdict: Verdict | None,
    changes: ChangeSet | None,
) -> str:
    """The Cache Strategy Report as Markdown. Every figure says measured, derived or assumed, or how to get it."""
    return render("report.md.j2", collect(evidence, contract, forecast, verdict, changes))


def render_html(
    evidence: Evidence,
    contract: Contract,
    forecast: Forecast | None,
    verdict: Verdict | None,
    changes: ChangeSet | None,
) -> str:
    """The same report as one page that needs nothing else: styles and pictures stand in it."""
    return render("report.html.j2", collect(evidence, contract, forecast, verdict, changes))


def render_pictures(contract: Contract, forecast: Forecast | None, verdict: Verdict | None) -> dict[str, str]:
    """What the Markdown links to: the text of each SVG file, by its name."""
    return {f"{graph.name}.svg": graph.alone() for graph in graphs_of(contract, forecast, verdict)}


__all__ = ["Report", "render_html", "render_markdown", "render_pictures"]
