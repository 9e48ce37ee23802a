"""Turns any value into plain data, compares two of them, and shows where they differ.

A submission's value is rebuilt by its exact type before anything looks at it, so a
class that claims to equal everything is only a class. Nothing here knows about tests.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import sys
from dataclasses import replace
from typing import Any

import numpy as np

MAX_ITEMS = 2000  # leaves of a value that a record carries; the rest is a digest
_LEAVES = {type(None), bool, int, float, complex, str, bytes}


def plain(value: Any) -> Any:
    """Rebuild `value` from exact built-in types and ndarrays; else an `Odd`."""
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind in (list, tuple):
        if set(map(type, value)) <= _LEAVES:
            return kind(value)
        return kind(plain(item) for item in value)
    if kind in (set, frozenset):
        return kind(plain(item) for item in value)
    if kind is dict:
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item() if kind in _SCALARS else Odd(kind.__name__)
    if isinstance(value, np.ndarray):
        return np.array(value, subok=False)
    return _library(value)


_SCALARS = {np.bool_, *(np.dtype(c).type for c in "bBhHiIlLqQefdFD")}


class Odd:
    """Stands for a value of a type that no check compares, by its type's name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return type(other) is Odd and other.name == self.name


@dataclasses.dataclass(frozen=True)
class Fields:
    """A dataclass instance as plain data."""

    name: str
    values: dict

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self.values.items())
        return f"{self.name}({inside})"


def _library(value: Any) -> Any:
    kind = type(value)
    torch = sys.modules.get("torch")
    if torch is not None and kind in (torch.Tensor, torch.nn.Parameter):
        return Tensor(str(value.dtype), _tensor_data(value, torch))
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and sparse.issparse(value):
        return Sparse(kind.__name__, value.toarray())
    if dataclasses.is_dataclass(kind) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(kind)]
        return Fields(
            kind.__name__, {n: plain(object.__getattribute__(value, n)) for n in names}
        )
    return Odd(kind.__name__)


def _tensor_data(value: Any, torch: Any) -> np.ndarray:
    data = value.detach().cpu()
    if data.dtype is torch.bfloat16:
        data = data.float()  # NumPy has no bfloat16; every value of it is a float32
    return data.numpy().copy()


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A torch tensor as plain data."""

    dtype: str
    data: np.ndarray

    def __repr__(self) -> str:
        return repr(self.data).replace("array(", "tensor(")


@dataclasses.dataclass(frozen=True)
class Sparse:
    """A SciPy sparse matrix as plain data."""

    format: str
    data: np.ndarray


# --- Comparing --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Difference:
    """How two values differ: the kind, where, what was expected there and what came."""

    kind: str  # "type", "dtype", "shape", "length", "nan", "value", "keys"
    expected: str
    got: str
    where: str = ""
    agree: tuple[int, int] | None = None  # leaves that agree, of how many


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far floats may be apart: |got - expected| <= atol + rtol * |expected|."""

    rtol: float = 0.0
    atol: float = 0.0

    def holds(self, got: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Elementwise; a NaN agrees with nothing but an expected NaN."""
        with np.errstate(invalid="ignore", over="ignore"):
            near = np.abs(got - expected) <= self.atol + self.rtol * np.abs(expected)
        return near | (got == expected) | (_isnan(got) & _isnan(expected))


EXACT = Tolerance()


def _isnan(a: np.ndarray) -> np.ndarray:
    if a.dtype.kind in "fc":
        return np.isnan(a)
    return np.zeros(a.shape, dtype=bool)


def difference(got: Any, expected: Any, tol: Tolerance = EXACT) -> Difference | None:
    """The first thing that differs between two `plain` values, or None."""
    return _compare(got, expected, tol, "")


def _compare(got: Any, expected: Any, tol: Tolerance, at: str) -> Difference | None:
    if not _same_kind(got, expected):
        return Difference("type", describe(expected), describe(got), at)
    if isinstance(expected, (Tensor, Sparse)):
        label = "dtype" if isinstance(expected, Tensor) else "format"
        if getattr(got, label) != getattr(expected, label):
            return Difference(label, getattr(expected, label), getattr(got, label), at)
        return _arrays(got.data, expected.data, tol, at)
    if isinstance(expected, np.ndarray):
        return _arrays(got, expected, tol, at)
    if isinstance(expected, Fields):
        return _mappings(got.values, expected.values, tol, at, "field ")
    if isinstance(expected, dict):
        return _mappings(got, expected, tol, at, "key ")
    if isinstance(expected, (list, tuple)):
        return _sequences(got, expected, tol, at)
    if isinstance(expected, (set, frozenset)):
        return _sets(got, expected, at)
    if isinstance(expected, (str, bytes)):
        return _strings(got, expected, at)
    return _scalars(got, expected, tol, at)


def _same_kind(got: Any, expected: Any) -> bool:
    if isinstance(expected, Fields) and isinstance(got, Fields):
        return got.name == expected.name
    return type(got) is type(expected)


def _scalars(got: Any, expected: Any, tol: Tolerance, at: str) -> Difference | None:
    if isinstance(expected, (float, complex)):
        pair = np.asarray(got), np.asarray(expected)
        agree = bool(tol.holds(*pair))
        kind = "nan" if got != got and expected == expected else "value"
    else:
        agree, kind = got == expected, "value"
    return None if agree else Difference(kind, show(expected), show(got), at)


def _strings(got: Any, expected: Any, at: str) -> Difference | None:
    if got == expected:
        return None
    n = next(
        (i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b),
        min(len(got), len(expected)),
    )
    if max(len(got), len(expected)) <= 30:
        return Difference("value", show(expected), show(got), at)
    place = f"{at}, character {n}" if at else f"character {n}"
    start = max(0, n - 8)
    return Difference(
        "value", show(expected[start : n + 16]), show(got[start : n + 16]), place
    )


def _sequences(got: Any, expected: Any, tol: Tolerance, at: str) -> Difference | None:
    if _flat(got, expected) and got == expected:
        return None
    if len(got) == len(expected) and _flat_floats(got, expected):
        found = _arrays(np.array(got), np.array(expected), tol, at)
        return found and replace(found, where=found.where.replace(", ", "]["))
    bad, first = 0, None
    for i, (a, b) in enumerate(zip(got, expected, strict=False)):
        found = _compare(a, b, tol, f"{at}[{i}]")
        bad += found is not None
        first = first or found
    length = max(len(got), len(expected))
    if first is None and len(got) == len(expected):
        return None
    same = min(len(got), len(expected)) - bad
    if first is None:
        first = _missing(got, expected, at)
    return replace(first, agree=(same, length))


def _missing(got: Any, expected: Any, at: str) -> Difference:
    n = min(len(got), len(expected))
    there = show(expected[n]) if len(expected) > n else f"the end, after {n} items"
    came = show(got[n]) if len(got) > n else f"the end, after {n} items"
    return Difference("length", there, came, f"{at}[{n}]")


def _flat(got: Any, expected: Any) -> bool:
    """Whether both hold the same simple types in the same places."""
    kinds = list(map(type, expected))
    return kinds == list(map(type, got)) and set(kinds) <= {int, str, bytes, bool}


def _flat_floats(got: Any, expected: Any) -> bool:
    return len(expected) > 0 and set(map(type, [*got, *expected])) == {float}


def _sets(got: Any, expected: Any, at: str) -> Difference | None:
    if got == expected:
        return None
    missing, extra = sorted(expected - got, key=repr), sorted(got - expected, key=repr)
    return Difference(
        "value",
        f"with {show(missing[0])}" if missing else f"without {show(extra[0])}",
        f"without {show(missing[0])}" if missing else f"with {show(extra[0])}",
        at,
        (len(got & expected), len(got | expected)),
    )


def _mappings(
    got: dict, expected: dict, tol: Tolerance, at: str, word: str
) -> Difference | None:
    same, first = 0, None
    for key, value in expected.items():
        place = (
            f"{at}{', ' if at else ''}{word}{key if word == 'field ' else show(key)}"
        )
        if key not in got:
            found = Difference("keys", show(value), "no such key", place)
        else:
            found = _compare(got[key], value, tol, place)
        same += found is None
        first = first or found
    extra = [key for key in got if key not in expected]
    if first is None and extra:
        first = Difference("keys", "no such key", show(got[extra[0]]), show(extra[0]))
    total = len(expected) + len(extra)
    return first and replace(first, agree=first.agree or (same, total))


def _arrays(
    got: np.ndarray, expected: np.ndarray, tol: Tolerance, at: str
) -> Difference | None:
    if got.dtype != expected.dtype:
        return Difference("dtype", str(expected.dtype), str(got.dtype), at)
    if got.shape != expected.shape:
        return Difference("shape", str(expected.shape), str(got.shape), at)
    if got.dtype.kind not in "fciub":
        agree = got == expected
    else:
        agree = tol.holds(_wide(got), _wide(expected))
    if agree.all():
        return None
    nan = _isnan(got) & ~_isnan(expected)
    if nan.any():
        index, kind = tuple(np.argwhere(nan)[0]), "nan"
    else:
        index, kind = _worst(got, expected, agree), "value"
    return Difference(
        kind,
        show(expected[index].item()),
        show(got[index].item()),
        f"{at}[{', '.join(str(int(i)) for i in index)}]",
        (int(agree.sum()), agree.size),
    )


def _wide(a: np.ndarray) -> np.ndarray:
    return a.astype(np.float64) if a.dtype.kind in "iub" or a.dtype.itemsize < 8 else a


def _worst(got: np.ndarray, expected: np.ndarray, agree: np.ndarray) -> tuple:
    if got.dtype.kind not in "fciub":
        return tuple(np.argwhere(~agree)[0])
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(_wide(got) - _wide(expected))
    gap = np.where(agree, -1.0, np.where(np.isnan(gap), np.inf, gap))
    return np.unravel_index(int(np.argmax(gap)), gap.shape) if gap.ndim else ()


# --- Showing ----------------------------------------------------------------------


def describe(value: Any) -> str:
    """Type, and dtype and shape where it has them: "float64 array of shape (2, 3)"."""
    if isinstance(value, (np.ndarray, Tensor, Sparse)):
        data = value if isinstance(value, np.ndarray) else value.data
        name = {np.ndarray: "array", Tensor: "tensor"}.get(type(value), "sparse matrix")
        return f"{data.dtype} {name} of shape {data.shape}"
    if isinstance(value, (Fields, Odd)):
        return value.name
    if value is None:
        return "None"
    short = show(value, 40)
    return f"{type(value).__name__} {short}"


def show(value: Any, width: int = 60) -> str:
    """A repr of at most `width` characters, cut in the middle and said so."""
    if isinstance(value, float):
        text = f"{value:.6g}" if math.isfinite(value) else str(value)
        text = text if any(c in text for c in ".enai") else text + ".0"
    elif isinstance(value, (np.ndarray, Tensor, Sparse)):
        text = describe(value)
    else:
        text = _short_repr(value, width)
    if len(text) <= width:
        return text
    head = max(1, width - 12)
    return f"{text[:head]} … {text[-8:]}"


def _short_repr(value: Any, width: int) -> str:
    """repr, without building megabytes to show sixty characters."""
    if isinstance(value, (str, bytes)) and len(value) > 4 * width:
        return repr(value[: 2 * width]) + f" ({len(value):,} in all)"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(show(item, width) for item in value[: width // 2])
        more = f", … {len(value):,} items" if len(value) > width // 2 else ""
        return f"[{inside}{more}]" if isinstance(value, list) else f"({inside}{more})"
    if isinstance(value, dict) and len(value) > width // 2:
        return f"{{… {len(value):,} keys}}"
    try:
        return repr(value)
    except Exception as error:  # a submission's own __repr__
        return f"<{type(value).__name__}, repr fails: {type(error).__name__}>"


# --- Values in a record -----------------------------------------------------------


def encode(value: Any) -> Any:
    """A `plain` value as JSON data, small enough for a record, fit for `same`."""
    leaves: list = []
    shape = _flatten(value, leaves)
    exact = [leaf for leaf in leaves if not isinstance(leaf, float)]
    floats = [leaf for leaf in leaves if isinstance(leaf, float)]
    step = max(1, len(floats) // MAX_ITEMS)
    return {
        "shape": _digest(shape),
        "exact": _digest(exact),
        "floats": [repr(leaf) for leaf in floats[::step]],
    }


def _digest(data: Any) -> str:
    return hashlib.sha256(repr(data).encode("utf-8", "backslashreplace")).hexdigest()[
        :24
    ]


def _flatten(value: Any, leaves: list) -> Any:
    """Collect leaves left to right; return the structure around them."""
    if isinstance(value, (Tensor, Sparse)):
        name = value.dtype if isinstance(value, Tensor) else value.format
        return (type(value).__name__, name, _flatten(value.data, leaves))
    if isinstance(value, np.ndarray):
        leaves.extend(value.ravel().tolist())
        return ("array", str(value.dtype), value.shape)
    if isinstance(value, Fields):
        return (value.name, _flatten(value.values, leaves))
    if isinstance(value, dict):
        return [(repr(key), _flatten(item, leaves)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        if set(map(type, value)) <= {int, str, float}:
            leaves.extend(value)
            return (type(value).__name__, len(value))
        return (type(value).__name__, [_flatten(item, leaves) for item in value])
    if isinstance(value, (set, frozenset)):
        leaves.extend(sorted(map(repr, value)))
        return type(value).__name__
    leaves.append(value)
    return type(value).__name__


def same(a: Any, b: Any, tol: Tolerance) -> bool:
    """Whether two encoded values are equal: exact parts exactly, floats by `tol`."""
    if (a["shape"], a["exact"]) != (b["shape"], b["exact"]):
        return False
    if len(a["floats"]) != len(b["floats"]):
        return False
    x = np.array([float(v) for v in a["floats"]])
    y = np.array([float(v) for v in b["floats"]])
    return bool(tol.holds(x, y).all())
