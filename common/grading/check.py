"""`check`: the comparisons a grader makes, recorded for the report and the diagnosis.

Each one raises `CheckFailed` when it does not hold. What a submission returns is
rebuilt as plain data first (`values.plain`); no comparison here calls its code, or
NumPy's or pytest's testing helpers, which a submission could have replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from common.grading import values
from common.grading.values import Difference, Tolerance

RTOL, ATOL = 1e-6, 1e-9


class CheckFailed(AssertionError):
    """A check did not hold; its record is the last one of the running test."""


class MissingName(AttributeError):
    """The submission does not define a name that its lab asks for."""


class Recorder:
    """Collects the checks of the running test, and the last call into the lab.

    Under hypothesis a test body runs many times and each run starts anew, so what
    stays is the last one: the failing example, or the last of those that passed.
    """

    def __init__(self) -> None:
        self.checks: list[dict] = []
        self.call: Any = None  # the last call across the boundary, with a text()

    def start(self) -> None:
        """Forget the previous test, or the previous example."""
        self.checks, self.call = [], None


recorder = Recorder()


def equal(got: Any, expected: Any, *, name: str = "", input: str | None = None) -> None:
    """`got` is `expected`: the same types, dtypes, shapes and values.

    Args:
        got: what the lab returned; NumPy scalars count as Python numbers.
        expected: from an oracle, or written by hand.
        name: what is compared, where a test makes several comparisons.
        input: shown instead of the recorded call.
    """
    _compare(got, expected, values.EXACT, name, input)


def close(
    got: Any,
    expected: Any,
    *,
    rtol: float = RTOL,
    atol: float = ATOL,
    name: str = "",
    input: str | None = None,
) -> None:
    """As `equal`, but floats may differ by ``atol + rtol * |expected|``."""
    _compare(got, expected, Tolerance(rtol, atol), name, input)


def that(
    holds: bool,
    expected: str,
    got: Any = None,
    *,
    name: str = "",
    input: str | None = None,
) -> None:
    """A property holds. It explains; put an oracle beside it.

    Args:
        holds: whether it does: True or False, of Python, NumPy or torch.
        expected: the property in words ("the pieces join to the text").
        got: what the lab returned.
    """
    came = values.plain(got)
    record = _record(name, input, values.EXACT, came)
    shown = "something else" if got is None else values.show(came)
    found = Difference("value", expected, shown)
    _finish(record, None if _is_true(holds) else found)


def _is_true(holds: Any) -> bool:
    """Whether it is True, of Python, NumPy or torch; no other truth counts."""
    holds = values.plain(holds)
    holds = holds.data if isinstance(holds, values.Tensor) else holds
    holds = holds.tolist() if isinstance(holds, np.ndarray) else holds
    return holds is True


def raises(
    kinds: type[BaseException] | tuple[type[BaseException], ...],
    call: Callable[[], Any],
    *,
    match: str = "",
    name: str = "",
    input: str | None = None,
) -> None:
    """`call` raises one of `kinds`, and the message contains `match` (a word).

    NotImplementedError is passed on: it says that a task is not started.
    """
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    expected = " or ".join(kind.__name__ for kind in wanted)
    if match:
        expected += f" that names {match}"
    try:
        came = values.plain(call())
    except (NotImplementedError, CheckFailed, MissingName):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        right, named = isinstance(error, wanted), _names(str(error), match)
        fits = right and named
        if right and not named:
            said += f"   (the word {match} is not in it)"
        # the wording is the learner's own; only right or wrong, and the type, count
        value = "as asked" if fits else type(error).__name__
    else:
        said, fits, value = f"no error; returned {values.show(came)}", False, came
    record = _record(name, input, values.EXACT, value)
    found = None if fits else Difference("raises", expected, values.show(said, 160))
    _finish(record, found)


def _names(message: str, word: str) -> bool:
    """Whether a message holds `word`: as a word of its own, long ones in either case.

    A plural may stand as its singular: "id 9 is unknown" names `ids`.
    """
    if len(word) <= 2:  # k and K are two arguments; no word asked for is always there
        return not word or re.search(rf"\b{word}\b", message) is not None
    plural = f"{word}?" if word.endswith("s") else word
    return re.search(rf"\b{plural}\b", message, re.IGNORECASE) is not None


def _compare(
    got: Any, expected: Any, tol: Tolerance, name: str, input: str | None
) -> None:
    came, wanted = values.plain(got), values.plain(expected)
    record = _record(name, input, tol, came)
    _finish(record, values.difference(came, wanted, tol))


def _record(name: str, input: str | None, tol: Tolerance, value: Any) -> dict:
    return {
        "name": name,
        "ok": True,
        "input": input if input is not None else recorder.call,
        "rtol": tol.rtol,
        "atol": tol.atol,
        "value": value,
    }


def _finish(record: dict, found: Difference | None) -> None:
    recorder.checks.append(record)
    if found is None:
        return
    record.update(
        ok=False,
        kind=found.kind,
        expected=found.expected,
        got=found.got,
        where=found.where,
        agree=list(found.agree) if found.agree else None,
    )
    raise CheckFailed(f"expected {found.expected}, got {found.got}")


def changed_input(call: str, argument: str, change: Difference) -> None:
    """Called by the boundary: the submission altered an argument it was given."""
    record = _record("input unchanged", call, values.EXACT, argument)
    wanted, came = f"{argument} as it was given", f"{argument} changed in place"
    if change.kind == "value":  # says more than that: a value not quite put back
        same = change.expected == change.got
        became = "changed by rounding" if same else f"became {change.got}"
        came += f": {change.expected} {became}"
    _finish(record, Difference("input", wanted, came, change.where))
