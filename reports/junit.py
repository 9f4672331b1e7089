# SPDX-License-Identifier: GPL-2.0-or-later
"""JUnit XML in the shape of the `junit-10` schema: a testsuite for each kernel and suite, a testcase a case.

FAIL is a failure, UNDECIDED an error (the test could not do its work), SKIP is skipped; so is a failure that
was listed beforehand, which would be counted otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from harness.verdicts import CaseVerdict, Verdict
from reports.describe import devices, machine, tools
from reports.difference import as_diff, place
from reports.kernels import Kernel
from reports.run import CaseResult, Run
from reports.text import plain, printable

__all__ = ["junit_xml"]

_ELEMENT = {Verdict.FAIL: "failure", Verdict.UNDECIDED: "error", Verdict.SKIP: "skipped"}


def junit_xml(run: Run) -> str:
    """Return the content of `junit.xml`."""
    root = ET.Element("testsuites", {"name": "iodiff", "time": _seconds(run.cases), **_counts(run.cases)})
    for kernel in run.kernels:
        cases = run.on(kernel)
        for suite in dict.fromkeys(case.verdict.suite for case in cases):
            _add_suite(root, run, kernel, [case for case in cases if case.verdict.suite == suite])
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_suite(root: ET.Element, run: Run, kernel: Kernel, cases: Sequence[CaseResult]) -> None:
    attributes = {
        "name": printable(f"{cases[0].verdict.suite} on {kernel.label}"),
        **_counts(cases),
        "skipped": str(_number(cases, Verdict.SKIP)),
        "time": _seconds(cases),
        "timestamp": _timestamp(run.started),
        "hostname": printable(plain(run.facts.get("host")) or "unknown"),
    }
    suite = ET.SubElement(root, "testsuite", attributes)
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(run, kernel, cases):
        ET.SubElement(properties, "property", name=printable(key), value=printable(value))
    for case in cases:
        _add_case(suite, case)


def _properties(run: Run, kernel: Kernel, cases: Sequence[CaseResult]) -> list[tuple[str, str]]:
    facts = [
        ("run_id", run.run_id),
        ("kernel", kernel.name),
        ("kernel.release", kernel.release),
        ("kernel.version", kernel.version),
        ("kernel.accelerator", kernel.accelerator or "none"),
        ("machine", machine({} if kernel.guest else run.facts, cases)),
        ("command", run.command),
    ]
    facts += [("kernel.lost", kernel.lost)] if kernel.lost else []
    facts += [(f"tool.{name}", version) for name, version in tools(cases).items()]
    return facts + [(f"devices.{case.id}", devices(case.manifest)) for case in cases if case.manifest]


def _add_case(suite: ET.Element, case: CaseResult) -> None:
    verdict = case.verdict
    name = verdict.case.removeprefix(verdict.suite + "/")
    element = ET.SubElement(
        suite,
        "testcase",
        name=printable(name),
        classname=printable(f"{case.kernel.label}.{verdict.suite}"),
        time=f"{case.wall_s:.3f}",
    )
    if kind := _ELEMENT.get(case.counted):
        problem = ET.SubElement(element, kind, type=verdict.verdict, message=printable(_message(verdict)))
        problem.text = printable("\n".join(_details(verdict)))
    ET.SubElement(element, "system-out").text = printable("\n".join(_output(case)))


def _message(verdict: CaseVerdict) -> str:
    for check in verdict.checks:
        if verdict.verdict is Verdict.FAIL and check.first_difference:
            return f"{check.name}: {check.first_difference.summary}"
    wrong = [f"{c.name}: {c.detail}" for c in verdict.checks if c.verdict is verdict.verdict and c.detail]
    return "; ".join([*verdict.reasons, *wrong]) or "no reason given"


def _details(verdict: CaseVerdict) -> list[str]:
    lines = list(verdict.reasons)
    for check in verdict.checks:
        if difference := check.first_difference:
            lines += [f"{check.name}: {difference.summary}", place(difference), *as_diff(difference)]
    return [*lines, f"repeat: {verdict.repeat}", f"judge: {verdict.judge}"]


def _output(case: CaseResult) -> list[str]:
    verdict = case.verdict
    checks = [f"{c.name}: {c.verdict}, {c.compared} compared, {c.wrong} wrong" for c in verdict.checks]
    return [f"events: {verdict.events}, lost: {verdict.lost}, seed: {verdict.seed}", *checks]


def _counts(cases: Sequence[CaseResult]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(_number(cases, Verdict.FAIL)),
        "errors": str(_number(cases, Verdict.UNDECIDED)),
    }


def _number(cases: Sequence[CaseResult], verdict: Verdict) -> int:
    return sum(case.counted is verdict for case in cases)


def _seconds(cases: Sequence[CaseResult]) -> str:
    return f"{sum(case.wall_s for case in cases):.3f}"


def _timestamp(started: str) -> str:
    # Readers want the plain form without a zone; `started` is UTC.
    found = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", started)
    return found.group() if found else "1970-01-01T00:00:00"
