"""Names a misconception when a submission's values are that version's values.

A signature is what a task's tests recorded: per test, its checks with their values, and
how it ended. Two signatures agree when all that both reached is equal. Wrong advice is
worse than none: no agreement, no name.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.grading import values
from common.grading.values import Tolerance

Signature = dict[str, dict]  # test name -> {"checks": [...], "end": ...}


def signature(events: Iterable[dict]) -> Signature:
    """The signature in a job's events."""
    return {
        event["test"]: {"checks": event["checks"], "end": _end(event)}
        for event in events
        if event["event"] == "test"
    }


def _end(event: dict) -> tuple:
    """How a test ended; an error counts by its type and its message."""
    error = event["error"]
    if error is None:
        return (event["outcome"],)
    return (event["outcome"], error["type"], error["message"])


def equal(a: Signature, b: Signature) -> bool:
    """Whether two signatures agree on every test and check that both reached."""
    shared = a.keys() & b.keys()
    return bool(shared) and all(_same_test(a[name], b[name]) for name in shared)


def _same_test(a: dict, b: dict) -> bool:
    if a["end"] != b["end"] or len(a["checks"]) != len(b["checks"]):
        return False
    pairs = zip(a["checks"], b["checks"], strict=True)
    return all(_same_check(x, y) for x, y in pairs)


def _same_check(a: dict, b: dict) -> bool:
    if any(a[key] != b[key] for key in ("name", "ok", "same_input")):
        return False
    return values.same(a["value"], b["value"], Tolerance(a["rtol"], a["atol"]))


def matches(
    mine: Signature, reference: Signature, versions: dict[str, Signature]
) -> list[str]:
    """The versions whose values these are; none where `mine` equals the reference."""
    if equal(mine, reference):
        return []
    found = []
    for name, theirs in versions.items():
        shared = {test: theirs[test] for test in theirs.keys() & mine.keys()}
        # what both reached must tell the version from the reference
        if equal(mine, theirs) and not equal(shared, reference):
            found.append(name)
    return found


def n_checks(mine: Signature) -> int:
    """How many recorded values a match rests on."""
    return sum(len(test["checks"]) for test in mine.values())
