"""What the code alone says about the worth of a cache of something, in sentences."""

from dataclasses import dataclass

from cache_strategy.model.evidence import Writer
from cache_strategy.profile.rejection import listed
from cache_strategy.profile.totals import Total

_RENDERING = ("markdown.", "mistune.", "commonmark.", "bleach.", "docutils.", "pygments.", "yaml.", "lxml.", "bs4.",
              "feedparser.", "PIL.", "xml.", "textile.", "csv.", "openpyxl.", "html5lib.")  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """Where something stands: the endpoints that reach it, whether every request does, how often in loops."""

    endpoints: tuple[str, ...]
    every_request: bool
    called_in_loop: bool


def reasons_for(
    total: Total, writers: tuple[Writer, ...], standing: Standing, *, one_for_all: bool, is_endpoint: bool
) -> list[str]:
    tables = total.tables()
    parsing = tuple(sorted(path for path in total.external if path.startswith(_RENDERING)))
    count = len({(w.path, w.qualname) for w in writers})
    written = (
        f"{_number(count, 'writer')} of these tables" if count else "nothing in the code writes these tables"
    )
    said = (
        (total.queries, f"{_number(total.queries, 'query site')} on {listed(tables)}"),
        (total.looped, "queries run in a loop (one per row)"),
        (total.aggregates, "computes an aggregate"),
        (total.joins, _number(total.joins, "join")),
        (total.outside, f"waits for another system: {listed(total.outside)}"),
        (parsing, f"parses or renders: {listed(parsing)}"),
        (total.renders, "renders a template"),
        (any(c.kind == "files" for c in total.context), "reads files"),
        (standing.every_request, "runs for every request or page"),
        (standing.endpoints and not is_endpoint, f"called by {listed(standing.endpoints)}"),
        (standing.called_in_loop, "called in a loop"),
        (tables, written),
        (one_for_all and (tables or total.outside), "one value for everybody"),
        (total.unknown, f"calls that could not be followed: {listed(total.unknown)}"),
    )
    return [sentence for holds, sentence in said if holds]


def _number(count: int, word: str) -> str:
    if count == 1:
        return f"1 {word}"
    return f"{count} {word[:-1]}ies" if word.endswith("y") else f"{count} {word}s"
