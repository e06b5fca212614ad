"""A verdict as CI servers read it: a test case for each run of the command, for each entry and for the visitors."""

from xml.etree import ElementTree

from cache_strategy.model.verdict import Verdict


def junit(verdict: Verdict) -> str:
    """A run that failed and a refuted entry are failures, an untested entry is skipped."""
    suite = ElementTree.Element("testsuite", name="cache-strategy verify")
    for run in verdict.runs:
        case = _case(suite, "run", run.mode, run.seconds)
        if run.exit_code:
            _child(case, "failure", f"exit code {run.exit_code}", run.summary)
    for entry in verdict.entries:
        case = _case(suite, "entry", entry.id)
        if entry.verdict == "untested":
            _child(case, "skipped", entry.hint)
        for mismatch in entry.mismatches:
            told = (f"key {mismatch.key}", f"served {mismatch.served}", f"origin {mismatch.origin}")
            where = (f"write {mismatch.write}", f"by {mismatch.writer}") if mismatch.write else ()
            _child(case, "failure", mismatch.reason, "\n".join(told + where))
    if verdict.visits is not None:
        case = _case(suite, "visits", ", ".join(verdict.visits.visitors))
        for difference in verdict.visits.differences:
            _child(case, "failure", difference)
    for name, kind in (("failures", "failure"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(kind) is not None for case in suite)))
    suite.set("tests", str(len(suite)))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, kind: str, name: str, seconds: float = 0) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=kind, name=name, time=f"{seconds:.3f}")


def _child(case: ElementTree.Element, kind: str, message: str, text: str = "") -> None:
    ElementTree.SubElement(case, kind, message=_printable(message)).text = _printable(text)


def _printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
