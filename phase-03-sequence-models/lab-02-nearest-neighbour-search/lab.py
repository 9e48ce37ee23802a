"""Nearest-neighbour search: exact, and three ways not to look at everything.

You build the exact search that is the yardstick, recall, and three indexes: inverted
lists, product quantisation, and the navigable graph HNSW, each with a knob.

1 exact search (2)          2 recall, inner product (1)   3 inverted lists (2)
4 product quantisation (2)  5 walking a graph (1)         6 building the graph (1)
7 the trade-off curve (1)

Not here: deleting, filters, more than one thread. The id of a vector is its place in
the order of adding. Results are float64; float32 input may give float32 (not graded).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush, heapreplace

import numpy as np
from numpy.typing import ArrayLike

from common import labs

METRICS = ("ip", "cosine", "l2")
QUERY_BLOCK = 256  # queries that are answered at a time

Found = list[tuple[float, int]]  # (squared distance, id)

# --- Given: checks of the input, and a k-means -----------------------------------


def as_rows(X: ArrayLike, name: str) -> np.ndarray:
    """Floats (n, d), one vector a row; else a ValueError with `name` in it."""
    return labs.solution("1.3").as_matrix(X, name)


def as_pair(X: ArrayLike, Q: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """X (N, d) and Q (nq, d) as floats; else a ValueError with "X" or "Q" in it."""
    return labs.solution("1.3").as_pair(X, Q, ("X", "Q"))


def as_unit_rows(X: ArrayLike, name: str) -> np.ndarray:
    """As `as_rows`, of rows whose length is 1, to 0.001."""
    X = as_rows(X, name)
    if np.abs(np.linalg.norm(X, axis=1) - 1).max() > 1e-3:
        raise ValueError(f"{name} must have rows of length 1; see normalize_rows")
    return X


def check_range(name: str, value: int, low: int, high: float = math.inf) -> None:
    """ValueError, with `name` in it, unless low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}")


def kmeans(X: np.ndarray, k: int, rng: np.random.Generator, iters: int = 25):
    """k centroids (k, d) of the rows of X by Lloyd's steps from a k-means++ start.

    Euclidean; `cluster` of lab 3.1 is spherical: it looks at directions only, and the
    pieces of vectors that product quantisation cuts have lengths that matter.
    """
    centroids = X[rng.integers(len(X), size=1)]
    near = np.square(X - centroids[0]).sum(axis=1)  # to the nearest centroid so far
    for _ in range(k - 1):
        weights = near if near.any() else np.ones(len(X))
        chosen = X[rng.choice(len(X), p=weights / weights.sum())]
        near = np.minimum(near, np.square(X - chosen).sum(axis=1))
        centroids = np.vstack([centroids, chosen])
    for _ in range(iters):
        far = squared_distances(X, centroids)
        labels = far.argmin(axis=1)
        before, centroids = centroids, np.zeros_like(centroids)
        np.add.at(centroids, labels, X)
        sizes = np.bincount(labels, minlength=k)
        centroids /= np.maximum(sizes, 1)[:, None]
        empty = np.flatnonzero(sizes == 0)
        if len(empty):  # they start anew at the vectors that are served worst
            centroids[empty] = X[np.argsort(-far.min(axis=1))[: len(empty)]]
        if np.array_equal(before, centroids):
            break
    return centroids


def squared_distances(Q: np.ndarray, X: np.ndarray) -> np.ndarray:
    """|q - x|² of each row of Q (nq, d) and of X (N, d), (nq, N), in one product.

    |q|² - 2 q · x + |x|²; rounding may take it just below 0, and that becomes 0.
    """
    far = Q @ X.T
    far *= -2
    far += np.square(Q).sum(axis=1)[:, None]
    far += np.square(X).sum(axis=1)
    return np.maximum(far, 0, out=far)


# --- Task 1 (2 points): exact search ---------------------------------------------


def normalize_rows(X: ArrayLike, eps: float = 0.0, name: str = "X") -> np.ndarray:
    """Each row of X (n, d) divided by its length, or by `eps` where that is larger.

    With [[3, 4], [0, 0]], eps=1e-12 gives [[0.6, 0.8], [0, 0]]. With eps=0 the zero row
    is a ValueError whose message holds `name` and the row's number (of the first one).
    """
    raise NotImplementedError("task 1")


def smallest_k(far: np.ndarray, k: int) -> np.ndarray:
    """The columns of the k smallest numbers of each row, the smallest first.

    Of equal numbers, those in lower columns come first and are taken first. `far` is
    (n, w) without NaN, k from 1 to w (else ValueError); returns int64 (n, k).
    """
    raise NotImplementedError("task 1")


def exact_search(
    X: ArrayLike, Q: ArrayLike, k: int, metric: str = "ip", block: int = 4096
) -> tuple[np.ndarray, np.ndarray]:
    """The k vectors of X nearest to each query, by looking at all of them.

    Never holds the scores of more than QUERY_BLOCK queries with `block` vectors.

    Args:
        X: (N, d); the id of a vector is its row.
        Q: queries (nq, d).
        k: how many, from 1 to N.
        metric: "ip", the inner product, or "cosine", largest first; or "l2", the
            squared Euclidean distance, smallest first. Ties: the lower id first.
        block: vectors of X at a time, at least 1.

    Returns ids, int64 (nq, k), and scores (nq, k), the values of the metric.
    ValueError: `k`, `metric` or `block` is not as above, X and `Q` differ in d, or with
    "cosine" a row of `X` or `Q` is zero.
    """
    raise NotImplementedError("task 1")


# --- Task 2 (1 point): recall; one index for all metrics -------------------------


def recall_at_k(found: np.ndarray, truth: np.ndarray) -> float:
    """The share of the true neighbours that were found; the order plays no part.

    Args:
        found: ids (nq, any number), where -1 stands for "nothing".
        truth: ids (nq, k) of an exact search.

    Returns a float from 0 to 1. ValueError: `found` has not the rows of `truth`.
    """
    raise NotImplementedError("task 2")


def as_inner_product(
    X: ArrayLike, Q: ArrayLike, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors and queries for an index that only knows the inner product.

    Returns X' (N, d') and Q' (nq, d'). For every query, the order of the vectors by
    inner product, largest first, is that of X and Q by `metric`, nearest first; how
    large the inner products are is free, and so is d', d or d + 1. ValueError: `metric`
    is none of METRICS, X and `Q` differ in d, or with "cosine" a row of `X` is zero.
    """
    raise NotImplementedError("task 2")


# --- Task 3 (2 points): inverted lists -------------------------------------------


class IVFIndex:
    """Inverted lists: look only into the cells near the query (inner product).

    `centroids` (n_lists, d); `lists[c]`, int64 ids of the vectors in cell c, rising;
    `stored[c]`, the vectors themselves in that order; `scanned`, how many vectors the
    last search scored, for all its queries together, the centroids not counted.
    """

    def __init__(
        self,
        n_lists: int,
        rng: np.random.Generator | None = None,
        centroids: ArrayLike | None = None,
    ):
        check_range("n_lists", n_lists, 1)
        self.n_lists, self.rng, self.scanned = n_lists, rng, 0
        self.centroids = None if centroids is None else as_rows(centroids, "centroids")
        if self.centroids is not None and len(self.centroids) != n_lists:
            raise ValueError(f"centroids must be {n_lists}, got {len(self.centroids)}")
        self.lists: list[np.ndarray] = [np.empty(0, np.int64)] * n_lists
        self.stored: list[np.ndarray | None] = [None] * n_lists  # None: no vector yet

    def train(self, X: ArrayLike) -> None:
        """Find centroids, unless there are some already.

        With `cluster` of lab 3.1, which gives labels and centroids, and `rng`.
        ValueError: X (N, d) has rows of another length than 1, or `n_lists` is above N.
        """
        raise NotImplementedError("task 3")

    def nearest_lists(self, Q: np.ndarray, n: int) -> np.ndarray:
        """The n cells nearest to each row of Q (nq, d), nearest first: int64 (nq, n).

        Near is a high cosine of row and centroid; of equal ones the lower cell first.
        ValueError: there are no `centroids` yet.
        """
        raise NotImplementedError("task 3")

    def add(self, X: ArrayLike) -> None:
        """Put each row of X (N, d) into its nearest cell; ids go on from call to call.

        ValueError: a row of `X` has not length 1, or there are no `centroids` yet.
        """
        raise NotImplementedError("task 3")

    def search(self, Q: ArrayLike, k: int, n_probe: int):
        """The k best of the vectors in the `n_probe` cells nearest to each row of Q.

        Returns ids, int64 (nq, k), and inner products (nq, k), best first, ties by the
        lower id; where the cells hold fewer than k, -1 and -inf fill up. ValueError: a
        row of `Q` has not length 1, k < 1, or `n_probe` is not from 1 to n_lists.
        """
        raise NotImplementedError("task 3")


# --- Task 4 (2 points): product quantisation -------------------------------------


class ProductQuantizer:
    """Cuts vectors into m blocks and keeps one byte for each (Jégou et al. 2011).

    `codebooks` (m, n_codes, d / m): block j is replaced by the nearest of
    `codebooks[j]`, and the place there is its code. Set by `fit` or by hand.
    """

    def __init__(
        self, m: int, n_codes: int = 256, rng: np.random.Generator | None = None
    ):
        check_range("m", m, 1)
        check_range("n_codes", n_codes, 1, 256)  # a code is one byte
        self.m, self.n_codes, self.rng = m, n_codes, rng
        self.codebooks: np.ndarray | None = None

    def blocks(self, X: ArrayLike) -> np.ndarray:
        """X (N, d), cut: (m, N, d / m). ValueError: d is no multiple of `m`."""
        raise NotImplementedError("task 4")

    def fit(self, X: ArrayLike) -> None:
        """Set `codebooks` by `kmeans` with `rng`, block by block.

        ValueError: as `blocks`, or `n_codes` is above the number of rows of X.
        """
        raise NotImplementedError("task 4")

    def encode(self, X: ArrayLike) -> np.ndarray:
        """For each block its nearest code by squared distance: uint8 (N, m)."""
        raise NotImplementedError("task 4")

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The vectors (N, d) that codes (N, m) stand for."""
        raise NotImplementedError("task 4")

    def lookup_tables(self, q: np.ndarray) -> np.ndarray:
        """What each code of each block adds to the distance from q: (m, n_codes).

        Entry (j, c): squared distance of block j of q (d,) and `codebooks[j, c]`.
        """
        raise NotImplementedError("task 4")

    def search(
        self,
        codes: np.ndarray,
        Q: ArrayLike,
        k: int,
        rerank: int | None = None,
        X: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest by the squared distance of q to what the code stands for.

        The query is not coded (*asymmetric*): a distance is a sum of m table entries.

        Args:
            codes: uint8 (N, m).
            Q: (nq, d).
            k: from 1 to N.
            rerank: None, or from k to N: so many of the nearest are compared with q
                themselves, and ids and distances are those of that comparison.
            X: the vectors (N, d) that were coded; only needed for `rerank`.

        Returns ids, int64 (nq, k), and squared distances (nq, k), nearest first, ties
        by the lower id. ValueError: `k` or `rerank` is not as above, or `X` is missing.
        """
        raise NotImplementedError("task 4")


# --- Tasks 5 and 6 (1 + 1 points): the navigable graph ---------------------------


class HNSW:
    """Hierarchical navigable small world (Malkov and Yashunin 2018), squared L2.

    `vectors` (N, d). `graph[l]` is {id: list of ids it links to} for the vectors of
    level l; level 0 has them all, each level a few of the one below, and `entry` is an
    id of the top one. All three may be set by hand. `scanned`: how many distances the
    last search took, for all its queries together; see `distances`.
    """

    def __init__(
        self,
        m: int = 8,
        ef_construction: int = 48,
        rng: np.random.Generator | None = None,
    ):
        check_range("m", m, 2)
        check_range("ef_construction", ef_construction, 1)
        self.m, self.ef_construction, self.rng = m, ef_construction, rng
        self.vectors: np.ndarray | None = None
        self.graph: list[dict[int, list[int]]] = []
        self.entry = self.scanned = 0

    def distances(self, q: np.ndarray, ids: Sequence[int]) -> list[float]:
        """Squared distances of q (d,) to the vectors of these ids; counts them."""
        self.scanned += len(ids)
        gaps = self.vectors.take(ids, axis=0) - q
        return np.einsum("nd,nd->n", gaps, gaps).tolist()

    def add(self, X: ArrayLike) -> None:
        """Insert the rows of X (n, d), one by one; ids go on from call to call."""
        X = as_rows(X, "X")
        first = 0 if self.vectors is None else len(self.vectors)
        self.vectors = np.vstack([self.vectors, X]) if first else X.copy()
        for new in range(first, len(self.vectors)):
            self.insert(new, level_of(1 - self.rng.random(), self.m))

    def search_layer(
        self, q: np.ndarray, entry_ids: Iterable[int], ef: int, level: int
    ) -> Found:
        """Walk along the links of a level to the vectors nearest to q (algorithm 2).

        Of the vectors met, it keeps the `ef` nearest. It always follows the links of
        the nearest one not yet followed, and stops when that one is farther than all of
        `ef` kept ones, or none is left. The distance of each vector is taken once, by
        `distances`.

        Returns (squared distance, id) of at most `ef` vectors, nearest first.
        """
        raise NotImplementedError("task 5")

    def search(self, Q: ArrayLike, k: int, ef: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest that a walk finds, with lists of length `ef` on level 0.

        Returns ids, int64 (nq, k), and squared distances (nq, k), nearest first; where
        the walk met fewer than k vectors, or the index is empty, -1 and inf fill up.
        ValueError: k < 1, or `ef` < k.
        """
        raise NotImplementedError("task 5")

    def descend(self, q: np.ndarray, level: int) -> list[int]:
        """Where the walk on `level` starts: a list of one id.

        From `entry` down, each level above it is walked with a list of length 1, from
        where the walk before ended. `[entry]` where no level is above.
        """
        raise NotImplementedError("task 5")

    def select(self, candidates: Found, m: int) -> list[int]:
        """At most m neighbours in different directions (algorithm 4).

        `candidates`: (squared distance to the vector, id), nearest first. In this order
        each is taken unless it is nearer to a taken one than to the vector: then the
        way to it leads through that one.
        """
        raise NotImplementedError("task 6")

    def insert(self, new: int, level: int) -> None:
        """Link `vectors[new]` into the levels from 0 to `level` (algorithm 1).

        On each, the `ef_construction` nearest that a walk finds are its candidates; it
        links to those that `select` takes, at most m, and they link back. Who then has
        more than m links (2 m on level 0) keeps what `select` takes of them. The walk
        on the next level starts from all candidates. The first vector of a level has
        no links; a vector on a new top level becomes `entry`.
        """
        raise NotImplementedError("task 6")


def level_of(u: float, m: int) -> int:
    """The top level of a vector for u drawn from (0, 1]: floor(-ln u / ln m).

    A share of 1/m of the vectors reaches level 1, of 1/m² level 2, and so on.
    """
    raise NotImplementedError("task 6")


# --- Task 7 (1 point): the trade-off curve ---------------------------------------


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (cost, recall) pairs, those that no other one beats, by rising cost.

    A pair is beaten by another that costs no more and recalls no less, unless both
    are equal; equal pairs appear once.
    """
    raise NotImplementedError("task 7")
