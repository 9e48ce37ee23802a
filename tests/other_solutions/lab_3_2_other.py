"""Lab 3.2 by another route: full sorts, masks over one array, SciPy's cdist, sets and
sorted lists where the reference has partitions, inverted lists, table look-ups, heaps."""

import bisect
import math

import numpy as np
from scipy.spatial.distance import cdist

from common import labs

METRICS = ("ip", "cosine", "l2")
QUERY_BLOCK = 256


def as_rows(X, name):
    X = np.array(X, dtype=float)
    if X.ndim != 2 or X.size == 0 or not np.isfinite(X).all():
        raise ValueError(f"bad {name}")
    return X


def as_unit_rows(X, name):
    X = as_rows(X, name)
    if any(abs(math.sqrt((row * row).sum()) - 1) > 1e-3 for row in X):
        raise ValueError(f"rows of {name} are not of length 1")
    return X


def check_range(name, value, low, high=math.inf):
    if value < low or value > high:
        raise ValueError(f"{name} = {value} is out of range")


def kmeans(X, k, rng, iters=60):
    different = np.unique(X, axis=0)
    if len(different) <= k:
        return np.vstack([different, np.repeat(different[:1], k - len(different), 0)])
    centroids = different[rng.permutation(len(different))[:k]]
    for _ in range(iters):
        labels = cdist(X, centroids).argmin(axis=1)
        new = np.array(
            [
                X[labels == c].mean(0) if (labels == c).any() else centroids[c]
                for c in range(k)
            ]
        )
        if np.allclose(new, centroids, rtol=0, atol=0):
            break
        centroids = new
    return centroids


# --- 1


def normalize_rows(X, eps=0.0, name="X"):
    out = as_rows(X, name).copy()
    for i in range(len(out)):
        length = max(math.sqrt(float(out[i] @ out[i])), eps)
        if length == 0:
            raise ValueError(f"row {i} of {name} is zero")
        out[i] /= length
    return out


def smallest_k(far, k):
    check_range("k", k, 1, far.shape[1])
    rows = [
        sorted(range(far.shape[1]), key=row.tolist().__getitem__)[:k] for row in far
    ]
    return np.array(rows, dtype=np.int64)


def exact_search(X, Q, k, metric="ip", block=4096):
    X, Q = as_rows(X, "X"), as_rows(Q, "Q")
    if X.shape[1] != Q.shape[1]:
        raise ValueError("Q has another width than X")
    check_range("k", k, 1, len(X))
    check_range("block", block, 1)
    if metric not in METRICS:
        raise ValueError("unknown metric")
    if metric == "cosine":
        Q = normalize_rows(Q, name="Q")
        normalize_rows(X[:1] if X.any(axis=1).all() else X)
    all_ids, all_far = [], []
    for start in range(0, len(Q), 64):
        q = Q[start : start + 64]
        ids, far = np.zeros((len(q), 0), int), np.zeros((len(q), 0))
        for low in range(0, len(X), block):
            rows = X[low : low + block]
            if metric == "l2":
                new = cdist(q, rows, "sqeuclidean")
            else:
                new = -np.einsum("qd,nd->qn", q, rows)
                if metric == "cosine":
                    new /= np.sqrt((rows * rows).sum(axis=1))
            far = np.concatenate([far, new], axis=1)
            mine = np.broadcast_to(np.arange(low, low + len(rows)), new.shape)
            ids = np.concatenate([ids, mine], axis=1)
            order = np.argsort(far, axis=1, kind="stable")[:, :k]
            far, ids = (
                np.take_along_axis(far, order, 1),
                np.take_along_axis(ids, order, 1),
            )
        all_ids.append(ids)
        all_far.append(far)
    far = np.concatenate(all_far)
    return np.concatenate(all_ids).astype(
        np.int64
    ), far if metric == "l2" else 0.0 - far


# --- 2


def recall_at_k(found, truth):
    found, truth = np.asarray(found).tolist(), np.asarray(truth).tolist()
    if len(found) != len(truth):
        raise ValueError("found and truth are of different numbers of queries")
    return sum(len(set(t) & set(f)) / len(t) for f, t in zip(found, truth)) / len(truth)


def as_inner_product(X, Q, metric):
    X, Q = as_rows(X, "X"), as_rows(Q, "Q")
    if X.shape[1] != Q.shape[1]:
        raise ValueError("Q has another width than X")
    if metric == "ip":
        return 3 * X, Q
    if metric == "cosine":
        return normalize_rows(X), normalize_rows(Q, eps=1e-300)
    if metric == "l2":
        square = np.einsum("nd,nd->n", X, X)[:, None]
        return np.hstack([square, X]), np.hstack([-np.ones((len(Q), 1)), 2 * Q])
    raise ValueError("unknown metric")


# --- 3


class IVFIndex:
    def __init__(self, n_lists, rng=None, centroids=None):
        check_range("n_lists", n_lists, 1)
        self.n_lists, self.rng, self.scanned = n_lists, rng, 0
        self.centroids = None if centroids is None else as_rows(centroids, "centroids")
        self.X, self.cell = [], np.zeros(0, int)

    @property
    def lists(self):
        return [np.flatnonzero(self.cell == c) for c in range(self.n_lists)]

    def train(self, X):
        X = as_unit_rows(X, "X")
        if self.centroids is not None:
            return
        if self.n_lists > len(X):
            raise ValueError("n_lists is above the number of vectors")
        self.centroids = labs.solution("3.1").cluster(X, self.n_lists, self.rng)[1]

    def nearest_lists(self, Q, n):
        if self.centroids is None:
            raise ValueError("no centroids")
        lengths = np.linalg.norm(self.centroids, axis=1)
        cos = np.asarray(Q) @ self.centroids.T / lengths
        return np.argsort(-cos, axis=1, kind="stable")[:, :n]

    def add(self, X):
        X = as_unit_rows(X, "X")
        self.cell = np.concatenate([self.cell, self.nearest_lists(X, 1)[:, 0]])
        self.X.extend(X)

    def search(self, Q, k, n_probe):
        Q = as_unit_rows(Q, "Q")
        check_range("k", k, 1)
        check_range("n_probe", n_probe, 1, self.n_lists)
        X, ids, scores = np.array(self.X), [], []
        self.scanned = 0
        for q, cells in zip(Q, self.nearest_lists(Q, n_probe)):
            s = np.where(np.isin(self.cell, cells), X @ q, -np.inf)
            self.scanned += int(np.isin(self.cell, cells).sum())
            order = np.argsort(-s, kind="stable")[:k]
            mine = np.where(np.isinf(s[order]), -1, order)
            ids.append(np.pad(mine, (0, k - len(mine)), constant_values=-1))
            scores.append(np.pad(s[order], (0, k - len(mine)), constant_values=-np.inf))
        return np.array(ids), np.array(scores)


# --- 4


class ProductQuantizer:
    def __init__(self, m, n_codes=256, rng=None):
        check_range("n_codes", n_codes, 1, 256)
        self.m, self.n_codes, self.rng, self.codebooks = m, n_codes, rng, None

    def blocks(self, X):
        X = as_rows(X, "X")
        if X.shape[1] % self.m != 0:
            raise ValueError(f"m = {self.m} does not divide {X.shape[1]}")
        return np.array(np.split(X, self.m, axis=1))

    def fit(self, X):
        blocks = self.blocks(X)
        if self.n_codes > blocks.shape[1]:
            raise ValueError("n_codes is above the number of rows")
        self.codebooks = np.array([kmeans(b, self.n_codes, self.rng) for b in blocks])

    def encode(self, X):
        near = [cdist(b, c).argmin(1) for b, c in zip(self.blocks(X), self.codebooks)]
        return np.transpose(near).astype(np.uint8)

    def decode(self, codes):
        return self.codebooks[np.arange(self.m), codes].reshape(len(codes), -1)

    def lookup_tables(self, q):
        parts = np.split(q, self.m)
        return np.array(
            [cdist(p[None], c, "sqeuclidean")[0] for p, c in zip(parts, self.codebooks)]
        )

    def search(self, codes, Q, k, rerank=None, X=None):
        check_range("k", k, 1, len(codes))
        if rerank is not None:
            check_range("rerank", rerank, k, len(codes))
        if rerank is not None and X is None:
            raise ValueError("X is missing")
        ids, far = [], []
        for q in as_rows(Q, "Q"):
            tables = self.lookup_tables(q)
            d = tables[np.arange(self.m), codes].sum(axis=1)
            if rerank is not None:
                keep = np.argsort(d, kind="stable")[:rerank]
                exact = np.full(len(d), np.inf)
                exact[keep] = np.square(np.asarray(X)[keep] - q).sum(axis=1)
                d = exact
            order = np.argsort(d, kind="stable")[:k]
            ids.append(order)
            far.append(d[order])
        return np.array(ids), np.array(far)


# --- 5 and 6


class HNSW:
    def __init__(self, m=8, ef_construction=48, rng=None):
        self.m, self.ef_construction, self.rng = m, ef_construction, rng
        self.vectors, self.graph, self.entry, self.scanned = None, [], 0, 0

    def distances(self, q, ids):
        self.scanned += len(ids)
        return [float(((self.vectors[i] - q) ** 2).sum()) for i in ids]

    def add(self, X):
        X = as_rows(X, "X")
        old = 0 if self.vectors is None else len(self.vectors)
        self.vectors = X if old == 0 else np.concatenate([self.vectors, X])
        for i in range(old, len(self.vectors)):
            self.insert(i, level_of(1 - self.rng.random(), self.m))

    def search_layer(self, q, entry_ids, ef, level):
        """One sorted list of (distance, id, followed?) instead of two heaps."""
        seen = list(dict.fromkeys(int(i) for i in entry_ids))
        best = sorted([d, i, False] for d, i in zip(self.distances(q, seen), seen))[:ef]
        seen = set(seen)
        while True:
            place = next((p for p, item in enumerate(best) if not item[2]), None)
            if place is None:
                return [(d, i) for d, i, _ in best]
            best[place][2] = True
            for j in self.graph[level][best[place][1]]:
                if j not in seen:
                    seen.add(j)
                    bisect.insort(best, [self.distances(q, [j])[0], j, False])
            del best[ef:]

    def descend(self, q, level):
        here = self.entry
        for above in reversed(range(level + 1, len(self.graph))):
            here = self.search_layer(q, [here], 1, above)[0][1]
        return [here]

    def search(self, Q, k, ef):
        Q = as_rows(Q, "Q")
        check_range("k", k, 1)
        check_range("ef", ef, k)
        self.scanned, ids, far = 0, [], []
        for q in Q:
            found = []
            if self.vectors is not None:
                found = self.search_layer(q, self.descend(q, 0), ef, 0)[:k]
            found += [(math.inf, -1)] * (k - len(found))
            ids.append([i for _, i in found])
            far.append([d for d, _ in found])
        return np.array(ids), np.array(far)

    def select(self, candidates, m):
        left, taken = list(candidates), []
        while left and len(taken) < m:
            _, i = left.pop(0)
            taken.append(i)
            left = [
                (d, j)
                for d, j in left
                if np.square(self.vectors[j] - self.vectors[i]).sum() >= d
            ]
        return taken

    def insert(self, new, level):
        q = self.vectors[new]
        if not self.graph:
            self.graph, self.entry = [{new: []} for _ in range(level + 1)], new
            return
        top = len(self.graph) - 1
        start = self.descend(q, min(level, top))
        for l in range(min(level, top), -1, -1):
            found = self.search_layer(q, start, self.ef_construction, l)
            mine = self.select(found, self.m)
            self.graph[l][new] = list(mine)
            for i in mine:
                theirs = self.graph[l][i] + [new]
                limit = self.m * (1 if l else 2)
                if len(theirs) > limit:
                    pairs = zip(self.distances(self.vectors[i], theirs), theirs)
                    theirs = self.select(sorted(pairs), limit)
                self.graph[l][i] = theirs
            start = [i for _, i in found]
        if level > top:
            self.graph.extend({new: []} for _ in range(level - top))
            self.entry = new


def level_of(u, m):
    level = 0
    while u * m ** (level + 1) <= 1:
        level += 1
    return level


# --- 7


def pareto_front(points):
    points = sorted(set(points))
    return [
        p
        for p in points
        if not any(o != p and o[0] <= p[0] and o[1] >= p[1] for o in points)
    ]
