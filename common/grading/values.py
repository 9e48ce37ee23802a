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

MAX_ITEMS = 1000  # floats, and sums of floats, that a record carries
MAX_DEPTH = 100  # containers inside each other that a value may have


def _ids(*kinds: type) -> frozenset[int]:
    # by identity: a metaclass can say that a class equals int, but not be int
    return frozenset(map(id, kinds))


_LEAVES = _ids(type(None), bool, int, float, complex, str, bytes)
_NUMPY = (np.dtype(c).type for c in "?bBhHiIlLqQefdFDUS")
_SCALARS = _ids(*_NUMPY)


def plain(value: Any, within: tuple[int, ...] = ()) -> Any:
    """Rebuild `value` from exact built-in types and ndarrays; else an `Odd`.

    `within` holds the ids of the containers around it, so that one which contains
    itself ends.
    """
    kind = type(value)
    if id(kind) in _LEAVES:
        return value
    if id(kind) in _CONTAINERS:
        return _container(value, kind, within)
    if kind is bytearray:
        return bytearray(value)
    if issubclass(kind, np.generic):
        return value.item() if id(kind) in _SCALARS else Odd(value)
    if issubclass(kind, np.ndarray):
        return _array(value, within)
    return _library(value, kind, within)


_CONTAINERS = _ids(list, tuple, set, frozenset, dict)


def _container(value: Any, kind: type, within: tuple[int, ...]) -> Any:
    if id(value) in within:
        return Odd(value, f"{kind.__name__} inside itself")
    if len(within) == MAX_DEPTH:
        return Odd(value, f"{kind.__name__} inside {MAX_DEPTH} others")
    within = (*within, id(value))
    if kind is dict:
        return {_hashable(k, within): plain(v, within) for k, v in value.items()}
    if set(map(id, map(type, value))) <= _LEAVES:
        return kind(value)
    one = plain if kind is list or kind is tuple else _hashable
    return kind(one(item, within) for item in value)


def _hashable(value: Any, within: tuple[int, ...]) -> Any:
    rebuilt = plain(value, within)
    return Odd(value) if isinstance(rebuilt, (Tensor, Sparse)) else rebuilt


def _array(value: np.ndarray, within: tuple[int, ...]) -> Any:
    if id(value) in within:
        return Odd(value, "array inside itself")
    data = np.array(value, subok=False)
    if data.dtype.kind == "O":
        items = [plain(item, (*within, id(value))) for item in data.ravel()]
        data = np.empty(len(items), dtype=object)
        for i, item in enumerate(items):
            data[i] = item  # data[:] = items would unpack lists
        return data.reshape(value.shape)
    return Odd(value) if data.dtype.hasobject else data


class Odd:
    """Stands for a value that no check looks into; it equals only itself."""

    def __init__(self, value: Any, name: str = "") -> None:
        self.value = value
        self.name = name or type(value).__name__

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return type(other) is Odd and other.value is self.value


@dataclasses.dataclass(frozen=True)
class Fields:
    """A dataclass instance as plain data."""

    name: str
    values: dict

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self.values.items())
        return f"{self.name}({inside})"


def _library(value: Any, kind: type, within: tuple[int, ...]) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and (kind is torch.Tensor or kind is torch.nn.Parameter):
        data = _tensor_data(value, torch)
        return Odd(value) if data is None else Tensor(str(value.dtype), data)
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and getattr(sparse, kind.__name__, None) is kind:
        return Sparse(kind.__name__, np.array(kind.toarray(value), subok=False))
    if dataclasses.is_dataclass(kind):
        if id(value) in within or len(within) == MAX_DEPTH:
            return Odd(value)
        names = [field.name for field in dataclasses.fields(kind)]
        inside = (*within, id(value))
        return Fields(
            kind.__name__,
            {n: plain(object.__getattribute__(value, n), inside) for n in names},
        )
    return Odd(value)


def _tensor_data(value: Any, torch: Any) -> np.ndarray | None:
    """The numbers of a dense tensor; None for a sparse, quantized or empty shell."""
    data = torch.Tensor.detach(value)  # an instance may carry a detach of its own
    if data.layout is not torch.strided or data.is_quantized or data.is_meta:
        return None
    data = data.cpu().resolve_conj().resolve_neg()
    if data.is_floating_point() and data.dtype.itemsize < 4:
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
        near &= np.isfinite(expected)  # infinity is near nothing but itself
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
    if isinstance(expected, (str, bytes, bytearray)):
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
    return None if agree else Difference(kind, *_shown_apart(expected, got), at)


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
        return _arrays(np.array(got), np.array(expected), tol, at)
    bad, first = 0, None
    for i, (a, b) in enumerate(zip(got, expected, strict=False)):
        found = _compare(a, b, tol, f"{at}[{i}]")
        bad += found is not None
        if first is None or (found and (first.kind, found.kind) == ("value", "nan")):
            first = found
    length = max(len(got), len(expected))
    if first is None and len(got) == len(expected):
        return None
    same = min(len(got), len(expected)) - bad
    if first is None:
        first = _missing(got, expected, at)
    return replace(first, agree=(same, length))


def _missing(got: Any, expected: Any, at: str) -> Difference:
    n = min(len(got), len(expected))
    end = f"the end, after {n} item{'s' if n != 1 else ''}"
    there = show(expected[n]) if len(expected) > n else end
    came = show(got[n]) if len(got) > n else end
    return Difference("length", there, came, f"{at}[{n}]")


def _flat(got: Any, expected: Any) -> bool:
    """Whether both hold the same simple types in the same places."""
    kinds = list(map(type, expected))
    return kinds == list(map(type, got)) and set(kinds) <= {int, str, bytes, bool}


def _flat_floats(got: Any, expected: Any) -> bool:
    return len(expected) > 0 and set(map(type, [*got, *expected])) == {float}


def _sets(got: Any, expected: Any, at: str) -> Difference | None:
    got, expected = set(map(_typed, got)), set(map(_typed, expected))
    if got == expected:
        return None
    missing, extra = sorted(expected - got, key=repr), sorted(got - expected, key=repr)
    return Difference(
        "value",
        f"with {show(missing[0][1])}" if missing else f"without {show(extra[0][1])}",
        f"without {show(missing[0][1])}" if missing else f"with {show(extra[0][1])}",
        at,
        (len(got & expected), len(got | expected)),
    )


def _typed(key: Any) -> tuple[type, Any]:
    """A key that 1, 1.0 and True do not share."""
    return type(key), key


def _mappings(
    got: dict, expected: dict, tol: Tolerance, at: str, word: str
) -> Difference | None:
    def place(key: Any) -> str:
        name = key if word == "field " else show(key)
        return f"{at}{', ' if at else ''}{word}{name}"

    came = {_typed(key): value for key, value in got.items()}
    same, first = 0, None
    for key, value in expected.items():
        if _typed(key) not in came:
            found = Difference("keys", show(value), "no such key", place(key))
        else:
            found = _compare(came.pop(_typed(key)), value, tol, place(key))
        same += found is None
        first = first or found
    if first is None and came:
        (_, key), value = next(iter(came.items()))
        first = Difference("keys", "no such key", show(value), place(key))
    total = len(expected) + len(came)
    return first and replace(first, agree=first.agree or (same, total))


def _arrays(
    got: np.ndarray, expected: np.ndarray, tol: Tolerance, at: str
) -> Difference | None:
    if got.dtype != expected.dtype:
        return Difference("dtype", str(expected.dtype), str(got.dtype), at)
    if got.shape != expected.shape:
        return Difference("shape", str(expected.shape), str(got.shape), at)
    if got.dtype.kind == "O":
        found = _sequences(list(got.ravel()), list(expected.ravel()), tol, at)
        return found and replace(found, where=f"{found.where} of the items in order")
    if got.dtype.kind in "fc":
        agree = tol.holds(_wide(got), _wide(expected))
    else:
        agree = np.asarray(got == expected)
    if agree.all():
        return None
    nan = _isnan(got) & ~_isnan(expected)
    if nan.any():
        index, kind = tuple(np.argwhere(nan)[0]), "nan"
    else:
        index, kind = _worst(got, expected, agree), "value"
    return Difference(
        kind,
        *_shown_apart(expected[index].item(), got[index].item()),
        f"{at}[{', '.join(str(int(i)) for i in index)}]" if index else at,
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
        dtype = value.dtype if isinstance(value, Tensor) else str(data.dtype)
        name = {np.ndarray: "array", Tensor: "tensor"}.get(type(value), "sparse matrix")
        return f"{dtype.removeprefix('torch.')} {name} of shape {data.shape}"
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


def _shown_apart(expected: Any, got: Any) -> tuple[str, str]:
    """Both as `show` has them; numbers that would look equal with all their digits."""
    texts = show(expected), show(got)
    if texts[0] == texts[1] and isinstance(got, (float, complex)):
        return repr(expected), repr(got)
    return texts


def spell(value: Any, width: int) -> str:
    """As `show`, but an array of few numbers with its numbers: "array([[1, 2.5]])"."""
    data = value if isinstance(value, np.ndarray) else getattr(value, "data", None)
    if not isinstance(value, (np.ndarray, Tensor)) or data.size > _SPELLED:
        return show(value, width)
    if data.dtype.kind not in "fiub" or data.ndim == 0 or not data.size:
        return show(value, width)
    name = "array" if isinstance(value, np.ndarray) else "tensor"
    usual = data.dtype.kind == "b" or str(data.dtype) in ("float64", "int64")
    dtype = "" if usual else f", {data.dtype}"
    text = f"{name}({_nested(data.tolist())}{dtype})"
    return text if len(text) <= width else show(value, width)


_SPELLED = 12  # numbers that a report still spells out


def _nested(item: Any) -> str:
    if isinstance(item, list):
        return f"[{', '.join(map(_nested, item))}]"
    return f"{item:.4g}" if isinstance(item, float) else str(item)


def _short_repr(value: Any, width: int) -> str:
    """repr, without building megabytes to show sixty characters."""
    if isinstance(value, (str, bytes)) and len(value) > 4 * width:
        return repr(value[: 2 * width]) + f" ({len(value):,} in all)"
    if isinstance(value, (list, tuple)):
        items = [show(item, width) for item in value[: width // 2]]
        if len(value) > len(items):
            items = _beginning(value, items, width - 2)
        inside = ", ".join(items)
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, dict) and len(value) > width // 2:
        return f"{{… {len(value):,} keys}}"
    if isinstance(value, int) and value.bit_length() > 8 * width:
        return f"an int of {value.bit_length():,} bits"
    try:
        return repr(value)
    except Exception as error:  # a submission's own __repr__
        return f"<{type(value).__name__}, repr fails: {type(error).__name__}>"


def _beginning(value: Any, items: list[str], width: int) -> list[str]:
    """The first items, as many as fit, and how many there are in all."""
    last, kept = f"… {len(value):,} items", []
    room = width - len(last) - len(", ")
    for item in items:
        if len(", ".join([*kept, item])) > room:
            break
        kept.append(item)
    return [*(kept or [show(value[0], room)]), last]


# --- Values in a record -----------------------------------------------------------


def encode(value: Any) -> dict:
    """A `plain` value as JSON data, small enough for a record, fit for `same`.

    Of many floats it keeps some, and sums over all: each sum with its size, so that
    `same` knows how far it may be off.
    """
    leaves: list = []
    shape = _flatten(value, leaves)
    exact = [_exact(leaf) for leaf in leaves if not isinstance(leaf, float)]
    floats = np.array([leaf for leaf in leaves if isinstance(leaf, float)])
    step = max(1, math.ceil(len(floats) / MAX_ITEMS))
    sums: list = []
    if step > 1:
        odd = np.flatnonzero(~np.isfinite(floats))
        exact += [repr((i, floats[i])) for i in odd.tolist()]
        sums = _sums(np.where(np.isfinite(floats), floats, 0.0), step)
    return {
        "shape": _digest(shape),
        "exact": _digest(exact),
        "floats": [repr(leaf) for leaf in floats[::step].tolist()],
        "step": step,
        "sums": sums,
    }


def _sums(floats: np.ndarray, step: int) -> list[list[float]]:
    """Weighted sum and sum of sizes of every `step` floats.

    The weights lie between 1 and 2 and differ, so that an exchange of two shows.
    """
    weights = 1 + (np.arange(len(floats)) * 0.6180339887498949) % 1
    starts = np.arange(0, len(floats), step)
    with np.errstate(over="ignore", invalid="ignore"):
        signed = np.add.reduceat(weights * floats, starts)
        sizes = np.add.reduceat(weights * np.abs(floats), starts)
    big = ~np.isfinite(sizes)
    signed[big] = sizes[big] = 0.0  # JSON has no infinity; the sample must do
    return np.stack([signed, sizes], axis=1).tolist()


def _exact(leaf: Any) -> Any:
    return hex(leaf) if type(leaf) is int else leaf  # decimal digits have a limit


def _digest(data: Any) -> str:
    text = repr(data).encode("utf-8", "backslashreplace")
    return hashlib.sha256(text).hexdigest()[:24]


def _flatten(value: Any, leaves: list) -> Any:
    """Collect leaves left to right; return the structure around them."""
    if isinstance(value, (Tensor, Sparse)):
        name = value.dtype if isinstance(value, Tensor) else value.format
        return (type(value).__name__, name, _flatten(value.data, leaves))
    if isinstance(value, np.ndarray):
        return ("array", str(value.dtype), value.shape, _flatten_array(value, leaves))
    if isinstance(value, Fields):
        return (value.name, _flatten(value.values, leaves))
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: _key(item[0]))
        return [(_key(key), _flatten(item, leaves)) for key, item in items]
    if isinstance(value, (list, tuple)):
        kinds = set(map(type, value))
        if len(kinds) == 1 and kinds <= {int, str, float}:
            leaves.extend(value)
            return (type(value).__name__, kinds.pop().__name__, len(value))
        return (type(value).__name__, [_flatten(item, leaves) for item in value])
    if isinstance(value, (set, frozenset)):
        leaves.extend(sorted(map(_key, value)))
        return type(value).__name__
    leaves.extend((value.real, value.imag) if isinstance(value, complex) else (value,))
    return type(value).__name__


def _flatten_array(value: np.ndarray, leaves: list) -> Any:
    if value.dtype.kind == "O":
        return _flatten(list(value.ravel()), leaves)
    if value.dtype.kind == "c":
        value = np.stack([value.real, value.imag], axis=-1)
    if value.dtype.kind == "f":
        value = value.astype(np.float64)
    leaves.extend(value.ravel().tolist())
    return None


def _key(key: Any) -> str:
    return f"{type(key).__name__} {_exact(key)!r}"


def same(a: dict, b: dict, tol: Tolerance) -> bool:
    """Whether two encoded values are equal: exact parts exactly, floats by `tol`."""
    if any(a[part] != b[part] for part in ("shape", "exact", "step")):
        return False
    if len(a["floats"]) != len(b["floats"]):
        return False
    x = np.array([float(v) for v in a["floats"]])
    y = np.array([float(v) for v in b["floats"]])
    return bool(tol.holds(x, y).all()) and _same_sums(a, b, tol)


def _same_sums(a: dict, b: dict, tol: Tolerance) -> bool:
    if not a["sums"]:
        return True
    mine, theirs = np.array(a["sums"]), np.array(b["sums"])
    room = 2 * a["step"] * tol.atol + tol.rtol * theirs[:, 1]
    return bool((np.abs(mine[:, 0] - theirs[:, 0]) <= room).all())
