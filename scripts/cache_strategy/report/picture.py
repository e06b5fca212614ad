"""Pictures of the contract as SVG text: where each entry lives, and which writer reaches which entry."""

from html import escape

from cache_strategy.model.contract import Contract

ROW = 24
MOST_WRITERS = 60
"""More lines than this nobody follows with the eye."""
LAYERS = (
    ("http", "browser and CDN"),
    ("memory", "process memory"),
    ("redis", "Redis"),
    ("matview", "materialized view"),
)


def layers_picture(contract: Contract) -> str:
    """One column per layer, from the reader to the database, each entry as a bar in the layers it uses."""
    entries = contract.entries
    if not entries:
        return ""
    left, column = 240, 190
    width = left + column * len(LAYERS)
    height = 60 + ROW * len(entries)
    parts = [_open(width, height, "Layers of each entry")]
    for i, (_, title) in enumerate(LAYERS):
        x = left + i * column
        parts.append(
            f'<rect x="{x + 4}" y="8" width="{column - 8}" height="{height - 16}" rx="6" class="column"/>'
        )
        parts.append(
            f'<text x="{x + column / 2}" y="28" text-anchor="middle" class="head">{escape(title)}</text>'
        )
    for row, entry in enumerate(entries):
        y = 48 + row * ROW
        parts.append(
            f'<text x="{left - 12}" y="{y + 13}" text-anchor="end">{escape(_short(entry.id, 30))}</text>'
        )
        for i, (layer, _) in enumerate(LAYERS):
            if layer in entry.layers:
                x = left + i * column
                parts.append(
                    f'<rect x="{x + 16}" y="{y}" width="{column - 32}" height="16" rx="3" class="{layer}"/>'
                )
    return "".join(parts) + "</svg>"


def writers_picture(contract: Contract) -> str:
    """Writers on the left, tables in the middle, entries on the right; a line for every way a write takes."""
    all_writers = sorted({i.writer for e in contract.entries for i in e.invalidated_by})
    writers = all_writers[:MOST_WRITERS]
    tables = sorted({d.table for e in contract.entries for d in e.depends_on})
    if not tables:
        return ""
    entries = [e for e in contract.entries if e.depends_on]
    height = 56 + ROW * max(len(writers) + (len(writers) < len(all_writers)), len(tables), len(entries))
    columns = (390, 570, 760)
    parts = [_open(1000, height, "Which writer reaches which entry")]
    for x, anchor, title in (
        (columns[0], "end", "writer"),
        (columns[1], "middle", "table"),
        (columns[2], "start", "entry"),
    ):
        parts.append(f'<text x="{x}" y="24" text-anchor="{anchor}" class="head">{title}</text>')
    spot = {
        **{("w", w): 52 + i * ROW for i, w in enumerate(writers)},
        **{("t", t): 52 + i * ROW for i, t in enumerate(tables)},
        **{("e", e.id): 52 + i * ROW for i, e in enumerate(entries)},
    }
    lines = sorted(
        {(i.writer, t) for e in entries for i in e.invalidated_by for t in i.tables if t in tables}
    )
    for writer, table in lines:
        if ("w", writer) not in spot:
            continue
        parts.append(_line(columns[0] + 8, spot["w", writer], columns[1] - 62, spot["t", table]))
    for entry in entries:
        for dependency in entry.depends_on:
            parts.append(
                _line(columns[1] + 62, spot["t", dependency.table], columns[2] - 8, spot["e", entry.id])
            )
    for writer in writers:
        parts.append(
            f'<text x="{columns[0]}" y="{spot["w", writer] + 4}" text-anchor="end">{escape(_short(writer, 56))}</text>'
        )
    if len(writers) < len(all_writers):
        more = f"… and {len(all_writers) - len(writers):,} more writers, listed with the entries"
        y = 56 + ROW * len(writers)
        parts.append(f'<text x="{columns[0]}" y="{y}" text-anchor="end" class="head">{more}</text>')
    for table in tables:
        y = spot["t", table]
        parts.append(
            f'<rect x="{columns[1] - 60}" y="{y - 10}" width="120" height="20" rx="3" class="table"/>'
        )
        parts.append(
            f'<text x="{columns[1]}" y="{y + 4}" text-anchor="middle">{escape(_short(table, 18))}</text>'
        )
    for entry in entries:
        parts.append(
            f'<text x="{columns[2]}" y="{spot["e", entry.id] + 4}">{escape(_short(entry.id, 36))}</text>'
        )
    return "".join(parts) + "</svg>"


def _open(width: float, height: float, title: str) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    middle = (x1 + x2) / 2
    return f'<path d="M{x1:g} {y1:g} C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}" class="way"/>'


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else "…" + text[-length + 1 :]
