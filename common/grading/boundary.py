"""The line between a test and the submission: names calls, guards arguments.

The fixture `lab` is a `Boundary`. A call that crosses it is remembered, so that a
report can say what was called, and its mutable arguments are compared before and after,
so that a submission that works in place cannot change what the oracle will see.
Calls inside the submission are not touched.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from common.grading import check, values


class Boundary:
    """A submission's module as its tests see it."""

    def __init__(self, module: ModuleType, after_call: Callable[[], None]) -> None:
        self._module, self._after_call = module, after_call
        self._inside = False
        self.may_mutate = False
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__ == module.__name__:
                self._wrap_class(value)

    def __getattr__(self, name: str) -> Any:
        try:
            value = getattr(self._module, name)
        except AttributeError:
            raise check.MissingName(self._not_defined(name)) from None
        if isinstance(value, type) or not callable(value):
            return value
        return self._wrap(value, name)

    def _not_defined(self, name: str) -> str:
        near = difflib.get_close_matches(name, vars(self._module), n=1, cutoff=0.8)
        hint = f" (it has {near[0]})" if near else ""
        return f"lab.py does not define {name}{hint}"

    def _wrap_class(self, owner: type) -> None:
        for name, member in list(vars(owner).items()):
            if name.startswith("_") and name not in ("__init__", "__call__"):
                continue
            label = owner.__name__ if name == "__init__" else f"{owner.__name__}.{name}"
            if isinstance(member, FunctionType):
                wrapped: Any = self._wrap(member, label, skip=1)
            elif isinstance(member, classmethod):
                wrapped = classmethod(self._wrap(member.__func__, label, skip=1))
            elif isinstance(member, staticmethod):
                wrapped = staticmethod(self._wrap(member.__func__, label))
            else:
                continue
            setattr(owner, name, wrapped)

    def _wrap(self, function: Any, label: str, skip: int = 0) -> Any:
        @functools.wraps(function)
        def crossing(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return function(*args, **kwargs)
            before = None if self.may_mutate else _snapshot(args[skip:], kwargs)
            call = Call(label, args[skip:], kwargs)
            check.recorder.call = call
            self._inside = True
            try:
                return function(*args, **kwargs)
            finally:
                self._inside = False
                self._after_call()
                # only at this moment: a generator or an exception changes nothing
                if before is not None and (found := _changed(before, function, skip)):
                    check.changed_input(call.given(before).text(numbers=True), *found)

        return crossing


class Call:
    """One call across the boundary; its text is made only when a report needs it."""

    def __init__(self, label: str, args: tuple, kwargs: dict) -> None:
        self.label, self.args, self.kwargs = label, args, kwargs

    def given(self, before: list[tuple[Any, Any, Any]]) -> Call:
        """The call with its arguments as they were before it."""
        were = {key: copy for key, _, copy in before}
        args = tuple(were.get(i, arg) for i, arg in enumerate(self.args))
        kwargs = {name: were.get(name, arg) for name, arg in self.kwargs.items()}
        return Call(self.label, args, kwargs)

    def text(self, numbers: bool = False) -> str:
        """The call as a learner would type it, arguments cut to fit.

        With `numbers` small arrays are spelled out. That is for readers: two
        submissions whose numbers differ by rounding made the same call.
        """
        inside = [_argument(a, numbers) for a in self.args]
        named = self.kwargs.items()
        inside += [f"{name}={_argument(a, numbers)}" for name, a in named]
        return f"{self.label}({', '.join(inside)})"


def _argument(value: Any, numbers: bool) -> str:
    if isinstance(value, (FunctionType, type)):
        return value.__name__
    if not isinstance(value, (values.Tensor, values.Sparse)):  # a copy of one
        value = values.plain(value)
    return values.spell(value, 60) if numbers else values.show(value, 48)


_MUTABLE = (list, tuple, dict, set, bytearray)  # a tuple may hold arrays


def _snapshot(args: tuple, kwargs: dict) -> list[tuple[Any, Any, Any]] | None:
    """(key, the object, a copy of it) for each argument that could be changed."""
    kept = []
    for key, value in [*enumerate(args), *kwargs.items()]:
        if isinstance(value, _MUTABLE) or _is_array(value):
            kept.append((key, value, values.plain(value)))
    return kept or None


def _is_array(value: Any) -> bool:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return value.flags.writeable
    return torch is not None and isinstance(value, torch.Tensor)


def _changed(
    before: list, function: Any, skip: int
) -> tuple[str, values.Difference] | None:
    """The first argument that is no longer what it was, and how it differs."""
    for key, value, frozen in before:
        if (change := values.difference(values.plain(value), frozen)) is not None:
            named = isinstance(key, str)
            return key if named else _parameter(function, key + skip), change
    return None


def _parameter(function: Any, position: int) -> str:
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    return names[position] if position < len(names) else f"argument {position + 1}"
