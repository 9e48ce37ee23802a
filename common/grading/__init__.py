"""What a lab's `test_lab.py` imports; the rest of this package is the harness.

`check` compares, `@task(3)` says which task a test decides, `@needs_data("name")` marks
a test that needs a downloaded dataset, `differences` is the derivative of anything. The
fixtures `lab` (the module under test) and
`rng` (a seeded NumPy generator, new for each test) come from the plugin.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["check", "differences", "needs_data", "task"]


def __getattr__(name: str) -> Any:
    """Load what needs NumPy when it is asked for: the command does without it."""
    if name == "check":
        return importlib.import_module("common.grading.check")
    if name == "differences":
        return importlib.import_module("common.grading.numeric").differences
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def task(number: int, *, mutates: bool = False) -> Callable:
    """Mark a test as part of a task.

    Args:
        number: the task's id in `lab.toml`.
        mutates: the lab is meant to change its arguments (an optimizer's step).
    """
    import pytest

    return pytest.mark.task(number, mutates=mutates)


def needs_data(*names: str) -> Callable:
    """Skip a test, with the reason, where a dataset is not on this machine."""
    import pytest

    return pytest.mark.needs_data(*names)
