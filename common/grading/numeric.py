"""Derivatives by differences: an oracle that does not know how a gradient is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np


def differences(
    f: Callable[[np.ndarray], float],
    x: np.ndarray,
    h: float = 1e-5,
    at: Iterable[tuple[int, ...]] | None = None,
) -> np.ndarray:
    """The derivative of the number f(x) by each entry of x, by central differences.

    (f(x + h) - f(x - h)) / 2h errs by h² f'''/6 and by rounding, about 1e-16 |f| / h;
    with the default h both are near 1e-10 for values near 1.

    Args:
        f: takes an array of the shape of `x`, returns one number.
        x: any shape; not changed. `f` gets float64 copies of it.
        h: the step, absolute.
        at: index tuples, for some entries only.

    Returns:
        float64 of the shape of `x`; with `at`, one derivative per index, 1-d.
    """
    x = np.array(x, dtype=np.float64)
    places = list(np.ndindex(*x.shape)) if at is None else list(at)
    found = np.empty(len(places))
    for number, place in enumerate(places):
        up, down = x.copy(), x.copy()
        up[place] += h
        down[place] -= h
        found[number] = (float(f(up)) - float(f(down))) / (2 * h)
    return found.reshape(x.shape) if at is None else found
