"""What a lab's `test_lab.py` imports; the rest of this package is the harness.

`check` compares, `@task(3)` says which task a test decides, `@needs_data("name")` marks
a test that needs a downloaded dataset. The fixtures `lab` (the module under test) and
`rng` (a seeded NumPy generator, new for each test) come from the plugin.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

__all__ = ["check", "needs_data", "task"]


def __getattr__(name: str) -> ModuleType:
    """Load `check` when it is asked for: the command needs this package without it."""
    if name != "check":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("common.grading.check")


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
