"""Short answers for a terminal and for an agent: under 150 lines, however large the repository is."""

from collections import Counter
from collections.abc import Sequence

from cache_strategy.model.contract import Contract, ContractRejection
from cache_strategy.model.evidence import Evidence
from cache_strategy.model.forecast import Forecast
from cache_strategy.model.verdict import Verdict
from cache_strategy.report import figures
from cache_strategy.report.compared import compared_lines
from cache_strategy.report.entries import hit_rate_of

MOST = 20
"""How many of a list are shown; the rest is counted."""
MOST_OF_A_REASON = 3
"""How many are shown of what was rejected for much the same reason, while there are others."""


def summarise(
    evidence: Evidence, contract: Contract, forecast: Forecast | None, written: str, report: dict[str, str]
) -> str:
    """What `run` prints: what was found, what is proposed, what comes next."""
    known = {r.group: r for r in forecast.entries} if forecast else {}
    lines = [_head(evidence), "", f"Entries of the contract ({len(contract.entries)}):"]
    for entry in contract.entries[:MOST]:
        key = ", ".join(p.name for p in entry.key) or "one value"
        hits = ""
        if forecast:
            row = known.get(entry.id)
            by_row = any(d.row for d in entry.depends_on)
            hits = f"{_hits(hit_rate_of([row], '', by_row).text if row else 'not known'):<20}"
        lines.append(
            f"  {_cut(entry.id, 28):<28} {'+'.join(entry.layers):<16} {figures.duration(entry.ttl_seconds):>7}  {hits}"
            f"by {key}  <- {entry.target}"
        )
    lines += _more(len(contract.entries), where="the contract")
    lines += ["", f"Rejected ({len(contract.rejected)}):"]
    lines += [f"  {_end(r.target, 44):<44} {_cut(r.reason, 90)}" for r in _of_each_reason(contract.rejected)]
    lines += _more(len(contract.rejected), where="the contract")
    lines += _unread(evidence) + _contradictions(evidence)
    if forecast:
        lines += [
            "",
            f"Hits are foretold from {forecast.requests:,} requests ({forecast.source or 'a trace'}).",
        ]
    else:
        lines += ["", f"No trace is at hand, so no hit rate is foretold: {figures.ACCESS_LOG}"]
    lines += ["", f"Contract: {written}", f"Report:   {report['report']}", f"          {report['html']}"]
    lines += ["Next:     read the contract; cache-strategy emit shows the patch"]
    return "\n".join(lines)


def _of_each_reason(rejected: Sequence[ContractRejection]) -> list[ContractRejection]:
    """The first of all, best first, without letting one reason fill the screen."""
    seen = Counter[str]()
    shown, others = list[int](), list[int]()
    for number, each in enumerate(rejected):
        reason = " ".join(each.reason.split()[:4])
        seen[reason] += 1
        (shown if seen[reason] <= MOST_OF_A_REASON else others).append(number)
    return [rejected[number] for number in sorted([*shown, *others][:MOST])]


def _hits(text: str) -> str:
    return f"hits {text.replace('at least', '>=').replace('at most', '<=')}"


def summarise_evidence(evidence: Evidence) -> str:
    """What `profile` prints."""
    lines = [_head(evidence), "", f"Endpoints ({len(evidence.endpoints)}):"]
    for endpoint in evidence.endpoints[:MOST]:
        depends = f"  depends on {', '.join(endpoint.context)}" if endpoint.context else ""
        writes = f"  writes {', '.join(endpoint.writes)}" if endpoint.writes else ""
        lines.append(
            f"  {_cut(endpoint.id, 48):<48} reads {', '.join(endpoint.reads) or 'nothing'}{writes}{depends}"
        )
    lines += _more(len(evidence.endpoints))
    lines += ["", f"Candidates ({len(evidence.candidates)}), best first:"]
    for c in evidence.candidates[:MOST]:
        place = f"{c.path}:{c.line} {c.qualname}"
        lines.append(f"  {c.rank:>3}. {_cut(place, 60):<60} {c.kind:<9} {_cut('; '.join(c.because), 100)}")
    lines += _more(len(evidence.candidates))
    lines += ["", f"Rejected ({len(evidence.rejected)}):"]
    lines += [
        f"  {_cut(f'{r.path}:{r.line} {r.qualname}', 60):<60} {_cut(r.reason, 100)}"
        for r in evidence.rejected[:MOST]
    ]
    lines += _more(len(evidence.rejected))
    return "\n".join([*lines, *_unread(evidence), *_contradictions(evidence)])


def summarise_forecast(forecast: Forecast) -> str:
    """What `simulate` prints."""
    lines = [f"Forecast from {forecast.requests:,} requests ({forecast.source or 'a trace'}):"]
    lines.append(
        f"  {'group':<48} {'ttl':>8} {'requests':>9} {'keys':>7} {'hits':>8} {'stale':>8} {'origin':>8}"
    )
    for row in forecast.rows[:60]:
        ttl = figures.duration(row.ttl_seconds) if row.ttl_seconds else "none"
        stale = figures.percent(row.stale_rate) if row.stale_rate is not None else "unknown"
        lines.append(
            f"  {_cut(row.group, 48):<48} {ttl:>8} {row.requests:>9,} {row.keys:>7,} {figures.percent(row.hit_rate):>8} "
            f"{stale:>8} {row.origin_requests:>8,}"
        )
    lines += _more(len(forecast.rows), 60, "what --json prints")
    return "\n".join([*lines, *(f"  {note}" for note in forecast.notes)])


def summarise_verdict(verdict: Verdict) -> str:
    """What `verify` prints: a line per entry, and for a refuted one what, where and who."""
    words = {"off": "caches off", "on": "caches on", "oracle": "with the oracle"}
    lines = []
    for r in verdict.runs:
        first, *others = r.summary.splitlines() or [""]
        lines.append(f"{words[r.mode]:<16} exit code {r.exit_code}, {r.seconds:.1f} s  {first}".rstrip())
        lines += [f"{'':<16} {line}" for line in others]
    lines.append("")
    for entry in verdict.entries:
        lines.append(
            f"{entry.verdict:<9} {entry.id}: {entry.hits:,} hits" + (f". {entry.hint}" if entry.hint else "")
        )
        for mismatch in entry.mismatches[:3]:
            lines += [
                f"          key {mismatch.key}",
                f"          served {_cut(mismatch.served, 100)}",
                f"          origin {_cut(mismatch.origin, 100)}",
            ]
            if mismatch.write:
                lines += [
                    f"          write  {_cut(mismatch.write, 100)}",
                    f"          writer {mismatch.writer}",
                ]
            if mismatch.reason:
                lines.append(f"          {mismatch.reason}")
        if len(entry.mismatches) > 3:
            lines.append(f"          … and {len(entry.mismatches) - 3} more in .cache-strategy/verdict.json")
    return "\n".join([*lines, *compared_lines(verdict)])


def _head(evidence: Evidence) -> str:
    return (
        f"{evidence.repo}: {evidence.files:,} files, {evidence.lines:,} lines, "
        f"{evidence.built_with}, {len(evidence.endpoints)} endpoints, "
        f"{len(evidence.tables)} tables, {len(evidence.writers)} writers, in {evidence.seconds:.1f} s"
    )


def _contradictions(evidence: Evidence) -> list[str]:
    if not evidence.contradictions:
        return []
    lines = ["", f"Measured against the code ({len(evidence.contradictions)}):"]
    lines += [
        f"  {_cut(c.target, 50)}: {_cut(c.measured, 80)}; {_cut(c.consequence, 70)}"
        for c in evidence.contradictions[:10]
    ]
    return lines + _more(len(evidence.contradictions), 10)


def _unread(evidence: Evidence) -> list[str]:
    if not evidence.unread:
        return []
    lines = ["", f"Not read ({len(evidence.unread)}):"]
    lines += [f"  {_cut(u.path, 60)}: {_cut(u.reason, 80)}" for u in evidence.unread[:10]]
    return lines + _more(len(evidence.unread), 10)


def _more(count: int, most: int = MOST, where: str = ".cache-strategy/evidence.json") -> list[str]:
    return [f"  … and {count - most:,} more in {where}"] if count > most else []


def _end(place: str, length: int) -> str:
    """A place whose folders are left out where they make it too long: what is cut is the least telling."""
    return place if len(place) <= length else "…" + place[1 - length :]


def _cut(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
