"""Similarity playground: how near are two vectors, and which are nearest?

You build five measures of closeness, the laws between them, an exact search for the
nearest, and two numbers that say when "nearest" stops meaning anything.

1 dot, normalize, cosine (2)   2 three distances (2)     3 Euclidean from cosine (1)
4 angle, triangles (1)         5 exact top_k (2)         6 contrast, dimension (2)

All results are float64; float32 arrays may give float32 (not graded). An error names
the argument at fault: hand the names on to `as_matrix` and `as_pair`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

SIMILARITIES = ("dot", "cosine")  # larger is closer
DISTANCES = ("euclidean", "manhattan", "chebyshev")  # smaller is closer


# --- Given: the checks that every function here makes of its input ---------------


def as_matrix(X: ArrayLike, name: str) -> np.ndarray:
    """One vector per row, as (n, d); `name` is what an error calls it.

    All numbers become float64, except that a float32 array stays float32, as vector
    databases keep it: half the memory, twice the speed, half the digits.

    Raises:
        ValueError: not two-dimensional, no row or no column, or NaN or infinity.
    """
    X = np.asarray(X)
    X = X if X.dtype == np.float32 else X.astype(np.float64, copy=False)
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(f"{name} must be (n, d) with one vector a row, got {X.shape}")
    if not np.isfinite(X).all():
        raise ValueError(f"{name} must not hold NaN or infinity")
    return X


def as_pair(
    U: ArrayLike, V: ArrayLike, names: tuple[str, str] = ("U", "V")
) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of vectors of the same length d, as (n, d) and (m, d); see `as_matrix`.

    Raises:
        ValueError: as `as_matrix`, or the lengths d differ.
    """
    U, V = as_matrix(U, names[0]), as_matrix(V, names[1])
    if U.shape[1] != V.shape[1]:
        raise ValueError(
            f"{names[0]} {U.shape} and {names[1]} {V.shape} must have the same d"
        )
    return U, V


# --- Task 1 (2 points): dot product, normalize, cosine ---------------------------


def dot_product(U: ArrayLike, V: ArrayLike) -> np.ndarray:
    """The dot product of every row of U (n, d) with every row of V (m, d).

    Returns:
        float64 (n, m); entry (i, j) is the sum over c of U[i, c] * V[j, c].

    Raises:
        ValueError: as `as_pair`: the shapes do not fit, or a number is not finite.
    """
    raise NotImplementedError("task 1")


def normalize(X: ArrayLike) -> np.ndarray:
    """Divide each row of X (n, d) by its length; zero rows stay zero.

    normalize([[3, 4], [0, 0]]) gives [[0.6, 0.8], [0, 0]].

    Returns:
        float64 (n, d).

    Raises:
        ValueError: as `as_matrix`: X is not (n, d), or a number is not finite.
    """
    raise NotImplementedError("task 1")


def cosine_similarity(U: ArrayLike, V: ArrayLike) -> np.ndarray:
    """The cosine of the angle between every row of U (n, d) and of V (m, d).

    It is u · v / (|u| |v|), and 0 where u or v is zero.

    Returns:
        float64 (n, m); not one value lies outside [-1, 1], not even by rounding.

    Raises:
        ValueError: as `as_pair`.
    """
    raise NotImplementedError("task 1")


# --- Task 2 (2 points): Euclidean, Manhattan, Chebyshev --------------------------


def euclidean(
    U: ArrayLike, V: ArrayLike, *, method: Literal["direct", "gram"] = "gram"
) -> np.ndarray:
    """The straight-line distance from every row of U (n, d) to every row of V (m, d).

    "direct" sums the squares of the differences. "gram" uses |u|² + |v|² - 2 u · v,
    one matrix product and so much faster, but with fewer correct digits where
    |u - v| is small beside |u|.

    Returns:
        float64 (n, m), without NaN; with "direct", exactly 0 between equal rows.

    Raises:
        ValueError: `method` is neither of the two, or as `as_pair`.
    """
    raise NotImplementedError("task 2")


def manhattan(U: ArrayLike, V: ArrayLike) -> np.ndarray:
    """The sum of the differences along all axes (L1), row by row.

    U is (n, d) and V (m, d); returns float64 (n, m). ValueError as `as_pair`.
    """
    raise NotImplementedError("task 2")


def chebyshev(U: ArrayLike, V: ArrayLike) -> np.ndarray:
    """The largest difference along any axis (L∞), row by row.

    U is (n, d) and V (m, d); returns float64 (n, m). ValueError as `as_pair`.
    """
    raise NotImplementedError("task 2")


# --- Task 3 (1 point): Euclidean distance of unit vectors ------------------------


def euclidean_from_cosine(cos: ArrayLike) -> np.ndarray:
    """How far apart two vectors of length 1 are whose cosine is `cos`.

    With |u| = |v| = 1, |u - v|² = |u|² + |v|² - 2 u · v. A cosine of -1 gives 2.0.

    Args:
        cos: cosines of any shape; up to 1e-9 outside [-1, 1] is taken as rounding.

    Returns:
        float64 of the same shape, from 0 to 2.

    Raises:
        ValueError: a value of `cos` is NaN or further outside [-1, 1].
    """
    raise NotImplementedError("task 3")


# --- Task 4 (1 point): angular distance, triangle inequality ---------------------


def angular_distance(U: ArrayLike, V: ArrayLike) -> np.ndarray:
    """The angle between every row of U (n, d) and of V (m, d); 1 is the opposite way.

    It is arccos(cosine) / pi and keeps the triangle inequality, which 1 - cosine does
    not. A zero vector is at 0.5 from everything, as its cosine is 0.

    Returns:
        float64 (n, m) in [0, 1], without NaN.

    Raises:
        ValueError: as `as_pair`.
    """
    raise NotImplementedError("task 4")


def triangle_violations(
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray],
    X: ArrayLike,
    *,
    atol: float = 1e-9,
) -> int:
    """Count ordered triples of rows for which a detour is shorter than the direct way.

    A triple (i, j, k) counts when d(i, k) > d(i, j) + d(j, k) + atol. There are n³ of
    them; (i, j, k) and (k, j, i) are two.

    Args:
        distance: called with X and X, returns float64 (n, n).
        X: (n, d).
        atol: room for rounding.

    Returns the count as a Python int. ValueError as `as_matrix`.
    """
    raise NotImplementedError("task 4")


# --- Given: a measure by its name ------------------------------------------------


def compare(U: ArrayLike, V: ArrayLike, metric: str) -> np.ndarray:
    """The values (n, m) of the measure called `metric`.

    Raises:
        ValueError: `metric` is none of SIMILARITIES and DISTANCES, or as the measure.
    """
    measures = {
        "dot": dot_product,
        "cosine": cosine_similarity,
        "euclidean": euclidean,
        "manhattan": manhattan,
        "chebyshev": chebyshev,
    }
    if metric not in measures:
        raise ValueError(f"metric must be one of {', '.join(measures)}, got {metric!r}")
    return measures[metric](U, V)


# --- Task 5 (2 points): exact nearest neighbours ---------------------------------


def top_k(
    queries: ArrayLike,
    items: ArrayLike,
    k: int,
    *,
    metric: str = "cosine",
    batch_size: int = 1024,
) -> tuple[np.ndarray, np.ndarray]:
    """The k items closest to each query, the closest first; nothing is approximated.

    For a name in SIMILARITIES the largest values are closest, for one in DISTANCES the
    smallest. Of equally close items the lower id comes first. Only `batch_size` rows
    of values are held at a time; up to rounding the result does not depend on it.

    Args:
        queries: (n, d).
        items: (m, d); the id of an item is its row.
        k: how many, from 1 to m.
        metric: "dot", "cosine", "euclidean", "manhattan" or "chebyshev".
        batch_size: queries at a time, at least 1.

    Returns:
        ids: int64 (n, k).
        values: float64 (n, k), what `compare` gives for these pairs.

    Raises:
        ValueError: `k`, `metric` or `batch_size` is out of its range, or as `as_pair`.
    """
    raise NotImplementedError("task 5")


# --- Task 6 (2 points): contrast and intrinsic dimension -------------------------


def relative_contrast(
    queries: ArrayLike, items: ArrayLike, metric: str = "euclidean"
) -> float:
    """How much farther the farthest item is than the nearest: median over queries.

    For one query it is (Dmax - Dmin) / Dmin over all items (Beyer et al. 1999). Items
    with the same numbers as the query, such as its own copy, are left out; their
    distance need not come out as exactly 0. Near 0, all items are about equally far
    and "nearest" means little.

    Args:
        queries: (n, d).
        items: (m, d).
        metric: a name in DISTANCES.

    Returns:
        The median of the n contrasts as a Python float.

    Raises:
        ValueError: `metric` is no distance; for some query every one of `items` equals
            it, so that nothing is left; or as `as_pair`.
    """
    raise NotImplementedError("task 6")


def intrinsic_dimension(distances: ArrayLike) -> float:
    """How many dimensions a set of distances looks like: mean² / (2 variance).

    Distances that are all alike mean many dimensions (Chávez et al. 2001). The variance
    is that of the population: the mean squared deviation.

    Args:
        distances: between different points, at least 2, of any shape.

    Returns:
        A Python float.

    Raises:
        ValueError: `distances` holds fewer than 2 numbers, NaN or infinity, or numbers
            that are all equal.
    """
    raise NotImplementedError("task 6")
