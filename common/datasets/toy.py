"""Small drawn datasets in the plane, for classifiers and one for regression.

Every function draws from the generator it is given and from nothing else, so a seed
fixes the data. Classes differ in size by one point at most, and the rows are shuffled.
Pure NumPy; the real data are elsewhere.
"""

import numpy as np


def blobs(
    n: int, classes: int = 3, spread: float = 0.5, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw round clouds whose centres stand evenly on a circle of radius 2.

    Args:
        n: number of points, at least 1.
        classes: number of clouds, at least 1.
        spread: standard deviation of a cloud in each direction.
        rng: where the numbers come from.

    Returns:
        X: float64 (n, 2).
        y: int64 (n,), the class from 0 to classes - 1.

    Raises:
        ValueError: `n` or `classes` is below 1, or `spread` is negative.
    """
    y = _labels(n, classes, rng)
    angle = 2 * np.pi * y / classes
    return _with_noise(2 * _on_circle(angle), spread, rng, "spread"), y


def moons(
    n: int, noise: float = 0.1, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw two half circles of radius 1, each reaching into the other's hollow.

    Args:
        n: number of points, at least 1.
        noise: standard deviation of what is added to each coordinate.
        rng: where the numbers come from.

    Returns:
        X: float64 (n, 2).
        y: int64 (n,), 0 for the upper moon and 1 for the lower.

    Raises:
        ValueError: `n` is below 1, or `noise` is negative.
    """
    y = _labels(n, 2, rng)
    upper = _on_circle(rng.uniform(0, np.pi, n))
    lower = np.array([1.0, 0.5]) - upper
    return _with_noise(np.where(y[:, None] == 0, upper, lower), noise, rng), y


def circles(
    n: int, noise: float = 0.1, factor: float = 0.5, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw two circles around the origin; no straight line separates them.

    Args:
        n: number of points, at least 1.
        noise: standard deviation of what is added to each coordinate.
        factor: radius of the inner circle; the outer has radius 1.
        rng: where the numbers come from.

    Returns:
        X: float64 (n, 2).
        y: int64 (n,), 0 for the outer circle and 1 for the inner.

    Raises:
        ValueError: `n` is below 1, `noise` is negative, or `factor` is not between
            0 and 1.
    """
    if not 0 < factor < 1:
        raise ValueError(f"factor: expected a number between 0 and 1, got {factor}")
    y = _labels(n, 2, rng)
    radius = np.where(y == 0, 1.0, factor)
    around = _on_circle(rng.uniform(0, 2 * np.pi, n))
    return _with_noise(radius[:, None] * around, noise, rng), y


def spirals(
    n: int, classes: int = 3, noise: float = 0.05, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw arms that wind once around the origin, from radius 0.1 out to 1.

    Args:
        n: number of points, at least 1.
        classes: number of arms, at least 1.
        noise: standard deviation of what is added to each coordinate.
        rng: where the numbers come from.

    Returns:
        X: float64 (n, 2).
        y: int64 (n,), the arm from 0 to classes - 1.

    Raises:
        ValueError: `n` or `classes` is below 1, or `noise` is negative.
    """
    y = _labels(n, classes, rng)
    along = rng.uniform(0.1, 1.0, n)
    angle = 2 * np.pi * (along + y / classes)
    return _with_noise(along[:, None] * _on_circle(angle), noise, rng), y


def xor(
    n: int, noise: float = 0.3, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw clouds around the corners (-1, -1), (1, 1) and (-1, 1), (1, -1).

    Args:
        n: number of points, at least 1.
        noise: standard deviation of a cloud in each direction.
        rng: where the numbers come from.

    Returns:
        X: float64 (n, 2).
        y: int64 (n,), 0 where the corner's signs agree and 1 where they differ.

    Raises:
        ValueError: `n` is below 1, or `noise` is negative.
    """
    y = _labels(n, 2, rng)
    first = rng.choice([-1.0, 1.0], n)
    corners = np.column_stack([first, np.where(y == 0, first, -first)])
    return _with_noise(corners, noise, rng), y


def sine(
    n: int, noise: float = 0.1, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw y = sin(x) with noise, for regression.

    Args:
        n: number of points, at least 1.
        noise: standard deviation of what is added to y.
        rng: where the numbers come from.

    Returns:
        x: float64 (n,), evenly drawn between -pi and pi, in no order.
        y: float64 (n,).

    Raises:
        ValueError: `n` is below 1, or `noise` is negative.
    """
    _at_least_one("n", n)
    x = rng.uniform(-np.pi, np.pi, n)
    return x, _with_noise(np.sin(x), noise, rng)


def _labels(n: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Return n labels in random order, each class as often as the others (+-1)."""
    _at_least_one("n", n)
    _at_least_one("classes", classes)
    return rng.permutation(np.arange(n, dtype=np.int64) % classes)


def _on_circle(angle: np.ndarray) -> np.ndarray:
    """Return the points of the unit circle at these angles: (n,) to (n, 2)."""
    return np.column_stack([np.cos(angle), np.sin(angle)])


def _with_noise(
    clean: np.ndarray, scale: float, rng: np.random.Generator, name: str = "noise"
) -> np.ndarray:
    """Return `clean` with normal noise added; `name` is what errors call `scale`."""
    if not scale >= 0:  # so that NaN is refused too
        raise ValueError(f"{name}: expected 0 or more, got {scale}")
    return clean + rng.normal(0.0, scale, clean.shape)


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value}")
