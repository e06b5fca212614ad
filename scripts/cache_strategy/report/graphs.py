"""Pictures of a forecast as SVG: narrow ones, which a phone shows as they are and a page puts side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from cache_strategy.model.contract import Contract
from cache_strategy.model.forecast import Forecast, ForecastRow, Load
from cache_strategy.model.verdict import Verdict
from cache_strategy.report import figures

WIDTH, LEFT, RIGHT, TOP = 360, 52, 14, 10
HEIGHT = 170
MOST_ENTRIES = 6
MOST_BARS = 8
STYLE = (
    "svg.graph{font:13px system-ui,sans-serif;fill:var(--ink,#1c2430)}"
    ".graph .soft{fill:var(--soft,#5b6675)}.graph .grid{stroke:var(--line,#dde2e8);fill:none}"
    ".graph .one{stroke:#2f6fd0;fill:#2f6fd0}.graph .two{stroke:#c0562b;fill:#c0562b}"
    ".graph path.one,.graph path.two{fill:none;stroke-width:2.2}.graph path.two{stroke-dasharray:6 3}"
    ".graph .here{stroke:var(--accent,#0b6e6e);stroke-width:1.5;stroke-dasharray:2 3}"
    ".graph text{stroke:none}.graph .before{fill:var(--line,#dde2e8)}.graph .after{fill:#2f6fd0}"
    "@media(prefers-color-scheme:dark){.graph .one{stroke:#7fb0ff;fill:#7fb0ff}.graph .two{stroke:#f0986f;fill:#f0986f}"
    ".graph .after{fill:#7fb0ff}.graph path.one,.graph path.two{fill:none}}"
)
ALONE = (
    ":root{--ink:#1c2430;--soft:#5b6675;--line:#dde2e8;--accent:#0b6e6e;background:#fff}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6eaef;--soft:#9aa6b5;--line:#323b47;--accent:#4fc3b8;background:#1a2028}}"
)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A picture: `name` is its file's, `words` say what it shows to who does not see it."""

    name: str
    title: str
    words: str
    svg: str

    def alone(self) -> str:
        """The same as a file that needs no page around it."""
        return self.svg.replace(">", f"><style>{ALONE}{STYLE}</style>", 1) + "\n"


def graphs_of(contract: Contract, forecast: Forecast | None, verdict: Verdict | None) -> tuple[Graph, ...]:
    """Every picture that there are figures for."""
    found: list[Graph | None] = []
    if forecast:
        known = {row.group: row for row in forecast.entries}
        busiest = sorted((e for e in contract.entries if e.id in known), key=lambda e: -known[e.id].requests)
        for entry in busiest[:MOST_ENTRIES]:
            curve = [row for row in forecast.curves if row.group == entry.id]
            found.append(_over_ttl(entry.id, entry.ttl_seconds, curve))
        found.append(_over_memory(forecast))
        found.append(
            _bars("requests", "Requests that the application computes, before and after", forecast.loads)
        )
        found.append(_bars("cost", "Time of computing them, before and after", forecast.loads))
    if verdict:
        found.append(_proof(verdict))
    return tuple(graph for graph in found if graph)


def _over_ttl(entry: str, ttl: int, curve: Sequence[ForecastRow]) -> Graph | None:
    kept = [row for row in curve if row.invalidation == "event"] or list(curve)
    alone = [row for row in curve if row.invalidation == "ttl"]
    if len(kept) < 3:
        return None
    ticks = [float(row.ttl_seconds or 1) for row in kept]
    stale = [row.stale_rate for row in alone]
    at = next((row for row in kept if row.ttl_seconds == ttl), kept[-1])
    old = next((row.stale_rate for row in alone if row.ttl_seconds == ttl), None)
    words = (
        f"{entry}: with {_life(ttl)}, the contract's, {figures.percent(at.hit_rate)} of the requests are hits; with "
        f"{_life(ticks[0])} {figures.percent(kept[0].hit_rate)}, with {_life(ticks[-1])} "
        f"{figures.percent(kept[-1].hit_rate)}."
    )
    words += f" Without invalidation {figures.percent(old)} would be stale." if old is not None else " Writes are not in the trace, so stale answers are not known."  # fmt: skip
    named_hits = "hits, less what writes invalidate" if kept[0].invalidation == "event" else "hits"
    lines = [("one", named_hits, [row.hit_rate for row in kept])]
    if all(rate is not None for rate in stale):
        lines.append(("two", "stale, were nothing invalidated", [rate or 0 for rate in stale]))
    named = [(tick, _life(tick)) for tick in ticks]
    title = f"{entry}: hits and stale answers over the time to live"
    return Graph(
        name=f"ttl-{_file(entry)}",
        title=title,
        words=words,
        svg=_curve(title, words, lines, named, (float(ttl), _life(ttl))),
    )


def _over_memory(forecast: Forecast) -> Graph | None:
    whole = next((row for row in forecast.sizes if row.capacity_bytes is None), None)
    policies = sorted({row.policy for row in forecast.sizes if row.capacity_bytes}, reverse=True)
    if whole is None or not policies:
        return None
    lines, ticks = [], list[float]()
    for mark, policy in zip(("one", "two"), policies, strict=False):
        rows = sorted((r for r in forecast.sizes if r.policy == policy and r.capacity_bytes), key=lambda r: r.capacity_bytes or 0)  # fmt: skip
        ticks = [float(row.capacity_bytes or 1) for row in rows]
        lines.append(
            (mark, f"misses, allkeys-{policy.removeprefix('redis_')}", [1 - row.hit_rate for row in rows])
        )
    least = lines[0][2][0]
    words = (
        f"All entries in one Redis: {figures.size(ticks[-1])} hold everything, {figures.percent(1 - whole.hit_rate)} are misses "
        f"then; with {figures.size(ticks[0])} {figures.percent(least)}."
    )
    here = None
    if forecast.redis:
        here = (
            float(forecast.redis.maxmemory_bytes),
            f"maxmemory {figures.size(forecast.redis.maxmemory_bytes)}",
        )
        words += f" The contract has {figures.size(here[0])}: {forecast.redis.because}."
    title = "Misses over the memory of Redis"
    named = [(tick, figures.size(tick).replace("iB", "")) for tick in ticks]
    return Graph(name="memory", title=title, words=words, svg=_curve(title, words, lines, named, here))


def _curve(
    title: str,
    words: str,
    lines: Sequence[tuple[str, str, Sequence[float]]],
    ticks: Sequence[tuple[float, str]],
    here: tuple[float, str] | None,
) -> str:
    """Shares over values that double or more: each step is as wide as its ratio."""
    from math import log

    low, high = log(ticks[0][0]), log(ticks[-1][0])
    high = max(high, log(here[0])) if here else high
    bottom = TOP + HEIGHT

    def x(value: float) -> float:
        return LEFT + (log(value) - low) / max(high - low, 1e-9) * (WIDTH - LEFT - RIGHT)

    most = max(0.1, max(max(values) for _, _, values in lines))
    scale = next(top for top in (0.1, 0.25, 0.5, 1.0) if most <= top + 1e-9)
    parts = []
    for share in (0, 0.5, 1):
        y = bottom - share * HEIGHT
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text class="soft" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share * scale * 100:g} %</text>'
        )
    shown = -100.0
    for value, name in ticks:
        end = x(value) + 4 * len(name)
        if x(value) - 4 * len(name) >= shown and end <= WIDTH:
            parts.append(
                f'<text class="soft" x="{x(value):.1f}" y="{bottom + 18}" text-anchor="middle">{escape(name)}</text>'
            )
            shown = end
    if here:
        at = x(here[0])
        side = "end" if at > WIDTH / 2 else "start"
        parts.append(f'<path class="here" d="M{at:.1f} {TOP}V{bottom}"/>')
        parts.append(
            f'<text x="{at + (-5 if side == "end" else 5):.1f}" y="{bottom - 8}" text-anchor="{side}">{escape(here[1])}</text>'
        )
    for mark, _, values in lines:
        places = [
            f"{x(value):.1f} {bottom - share / scale * HEIGHT:.1f}"
            for (value, _), share in zip(ticks, values, strict=True)
        ]
        parts.append(f'<path class="{mark}" d="M{"L".join(places)}"/>')
    for row, (mark, name, _) in enumerate(lines):
        y = bottom + 42 + 20 * row
        dash = "M0 0H26" if mark == "one" else "M0 0H10M16 0H26"
        parts.append(f'<path class="{mark}" transform="translate({LEFT} {y - 4})" d="{dash}"/>')
        parts.append(f'<text x="{LEFT + 34}" y="{y}">{escape(name)}</text>')
    return _svg(title, words, bottom + 32 + 20 * len(lines), parts)


def _bars(what: str, title: str, loads: Iterable[Load]) -> Graph | None:
    """Two bars per endpoint: as it is, and with the caches."""
    rows: list[tuple[str, float, float, str]] = []
    for load in loads:
        before: float | None = load.requests
        after: float | None = load.origin_requests
        text = f"{load.requests:,} → {load.origin_requests:,}"
        if what == "cost":
            before, after = load.busy_s, load.origin_busy_s
            if before is None or after is None:
                continue
            text = f"{figures.time(before)} → {figures.time(after)}"
        if before and after is not None and load.endpoint.startswith("GET"):
            rows.append((load.endpoint, before, after, text))
    rows = sorted(rows, key=lambda row: -row[1])[:MOST_BARS]
    if not rows:
        return None
    total, left = sum(row[1] for row in rows), sum(row[2] for row in rows)
    words = f"{title}: {figures.percent(1 - left / total)} less. " + "; ".join(
        f"{name}: {text}" for name, _, _, text in rows
    )
    return Graph(name=what, title=title, words=words, svg=_pairs(title, words, rows))


def _proof(verdict: Verdict) -> Graph | None:
    rows = []
    for entry in verdict.entries:
        pair = [(figures_ or {}).get("latency_ms_p50") for figures_ in (entry.before, entry.after)]
        if pair[0] and pair[1]:
            before, after = pair[0].value, pair[1].value
            rows.append((entry.id, before, after, f"{figures.number(before)} → {figures.number(after)} ms"))
    rows = sorted(rows, key=lambda row: -row[1])[:MOST_BARS]
    if not rows:
        return None
    title = "Answer time in the proof (median), before and after"
    words = f"{title}. " + "; ".join(f"{name}: {text}" for name, _, _, text in rows)
    return Graph(name="proof", title=title, words=words, svg=_pairs(title, words, rows))


def _pairs(title: str, words: str, rows: Sequence[tuple[str, float, float, str]]) -> str:
    widest = max(max(before, after) for _, before, after, _ in rows)
    full = WIDTH - 2 * RIGHT
    parts = []
    for number, (name, before, after, text) in enumerate(rows):
        y = TOP + number * 46
        room = int((full - 7 * len(text)) / 7.2)
        short = name if len(name) <= room else "…" + name[1 - room :]
        parts.append(f'<text x="{RIGHT}" y="{y + 12}">{escape(short)}</text>')
        parts.append(
            f'<text class="soft" x="{WIDTH - RIGHT}" y="{y + 12}" text-anchor="end">{escape(text)}</text>'
        )
        for mark, value, height, shift in (("before", before, 14, 19), ("after", after, 8, 22)):
            width = max(1.0, value / widest * full)
            parts.append(
                f'<rect class="{mark}" x="{RIGHT}" y="{y + shift}" width="{width:.1f}" height="{height}" rx="2"/>'
            )
    y = TOP + len(rows) * 46 + 14
    parts.append(
        f'<rect class="before" x="{RIGHT}" y="{y - 10}" width="22" height="12" rx="2"/><text x="{RIGHT + 30}" y="{y}">before</text>'
    )
    parts.append(
        f'<rect class="after" x="{RIGHT + 100}" y="{y - 8}" width="22" height="8" rx="2"/><text x="{RIGHT + 130}" y="{y}">after</text>'
    )
    return _svg(title, words, y + 10, parts)


def _svg(title: str, words: str, height: float, parts: Iterable[str]) -> str:
    name = "g" + _file(title)
    return (
        f'<svg class="graph" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="{name} {name}-words" '
        f'xmlns="http://www.w3.org/2000/svg"><title id="{name}">{escape(title)}</title>'
        f'<desc id="{name}-words">{escape(words)}</desc>{"".join(parts)}</svg>'
    )


def _life(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else figures.duration(seconds)


def _file(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name.lower())[:80]
