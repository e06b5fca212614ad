"""How much a cache of something is worth, as far as the code alone says, and why."""

from dataclasses import dataclass

from cache_strategy.model.evidence import Writer
from cache_strategy.profile.effects import Total
from cache_strategy.profile.rejection import listed

_OF_EFFECTS = 0.25
"""What a point for effects counts beside the signals of a function (fitted on the same caches as `telling`)."""
_RENDERING = ("markdown.", "mistune.", "commonmark.", "bleach.", "docutils.", "pygments.", "yaml.", "lxml.", "bs4.",
              "feedparser.", "PIL.", "xml.", "textile.", "csv.", "openpyxl.", "html5lib.")  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """Where something stands: the endpoints that reach it, whether every request does, how often in loops."""

    endpoints: tuple[str, ...]
    every_request: bool
    called_in_loop: bool


def score_of(
    looks: float, total: Total, writers: tuple[Writer, ...], standing: Standing, *, per_user: bool, parameters: int,
    is_endpoint: bool, plain: bool,
) -> tuple[float, tuple[str, ...]]:  # fmt: skip
    points = 0.0
    because: list[str] = []
    tables = total.tables()
    sites = len({(index, line) for index, line, _ in total.queries})
    if sites:
        points += min(sites, 6) * 0.8 + min(len(tables), 6) * 0.4
        because.append(f"{_number(sites, 'query site')} on {listed(tables)}")
    if total.looped:
        points += 3
        because.append("queries run in a loop (one per row)")
    if total.aggregates:
        points += 3
        because.append("computes an aggregate")
    if total.joins:
        points += min(len(total.joins), 3)
        because.append(_number(len(total.joins), "join"))
    if total.outside:
        points += 5
        because.append(f"waits for another system: {listed(tuple(sorted(total.outside)))}")
    parsing = sorted(path for path in total.external if path.startswith(_RENDERING))
    if parsing:
        points += 2.5
        because.append(f"parses or renders: {listed(tuple(parsing))}")
    if total.renders:
        points += 1
        because.append("renders a template")
    if any(c.kind == "files" for c in total.context):
        points += 1.5
        because.append("reads files")
    if standing.every_request:
        points += 3
        because.append("runs for every request or page")
    if standing.endpoints and not is_endpoint:
        points += 1.5 + 0.4 * min(len(standing.endpoints), 5)
        because.append(f"called by {listed(standing.endpoints)}")
    elif is_endpoint:
        points += 1.5
    if standing.called_in_loop:
        points += 1
        because.append("called in a loop")
    if tables:
        count = len({(w.path, w.qualname) for w in writers})
        points -= min(count, 10) * 0.15
        because.append(
            f"{_number(count, 'writer')} of these tables"
            if count
            else "nothing in the code writes these tables"
        )
    if per_user:
        points -= 1.5
        because.append("depends on the user")
    if not per_user and parameters == 0 and (tables or total.outside):
        points += 1
        because.append("one value for everybody")
    if parameters > 3:
        points -= 0.5 * min(parameters - 3, 3)
    if plain:
        points += 1
    if total.unknown:
        points -= min(len(total.unknown), 5) * 0.2
        because.append(f"calls that could not be followed: {listed(tuple(sorted(total.unknown)))}")
    return round(looks + _OF_EFFECTS * points, 2), tuple(because)


def _number(count: int, word: str) -> str:
    if count == 1:
        return f"1 {word}"
    return f"{count} {word[:-1]}ies" if word.endswith("y") else f"{count} {word}s"
