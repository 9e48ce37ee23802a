"""Lab 3.2's searches beside scikit-learn and faiss, float32, one thread each.

An approximate index is fast if it may be wrong, so speeds are compared at equal recall:
each side gets the cheapest setting of its knob that finds 95 % of the true neighbours.
Both sides train and build for themselves, with as many cells, blocks and links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from common import labs, seeding
from tests.benchmarks.table import Row, side_by_side

K, TARGET = 10, 0.95
N, DIM, N_QUERIES = 10_000, 64, 200
N_GRAPH = 5_000  # plain Python builds about a thousand vectors a second
CELLS, BLOCKS = 100, 8
KNOB = [*range(1, 20), *range(20, 60, 4), *range(60, 300, 20), *range(300, 2001, 100)]


def rows() -> Iterator[Row]:
    """Exact search, then each index at equal recall."""
    import faiss
    from threadpoolctl import threadpool_limits

    faiss.omp_set_num_threads(1)
    lab = labs.solution("3.2")
    X, Q = collection(lab)
    with threadpool_limits(1):
        yield from exact(lab, faiss, X, Q)
        truth, _ = lab.exact_search(X, Q, K)
        yield inverted_lists(lab, faiss, X, Q, truth)
        yield quantised(lab, faiss, X, Q, truth)
        truth, _ = lab.exact_search(X[:N_GRAPH], Q, K)
        yield graph(lab, faiss, X[:N_GRAPH], Q, truth)


def collection(lab) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows around 200 directions, and queries of the same kind."""
    rng = seeding.rng(0, "3.2", "clustered")
    centres = lab.normalize_rows(rng.normal(size=(200, DIM)))
    X = centres[rng.integers(200, size=N + N_QUERIES)]
    X = lab.normalize_rows(X + rng.normal(0, 1.3 / 8, X.shape)).astype(np.float32)
    return X[:N], X[N:]


def exact(lab, faiss, X, Q) -> Iterator[Row]:
    """By squared distance beside scikit-learn, by inner product beside faiss."""
    from sklearn.neighbors import NearestNeighbors

    brute = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(X)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(X)
    what = f"3.2 exact, {N:,} x {DIM}, {N_QUERIES} queries"
    for metric, peer, name, wanted in (
        ("l2", lambda: brute.kneighbors(Q), "sklearn brute", "at least 1"),
        ("ip", lambda: flat.search(Q, K), "faiss IndexFlatIP", ""),
    ):
        ours = partial_exact(lab, X, Q, metric)
        yield side_by_side(f"{what}, {metric}", ours, peer, name, wanted, rounds=9)


def partial_exact(lab, X, Q, metric) -> Callable:
    return lambda: lab.exact_search(X, Q, K, metric)


def smallest(lab, search: Callable[[int], np.ndarray], truth, most: int) -> int:
    """The smallest value of the knob with which `search` reaches the target."""
    for value in (v for v in KNOB if v <= most):
        if lab.recall_at_k(search(value), truth) >= TARGET:
            return value
    raise ValueError(f"no setting up to {most} has a recall of {TARGET}")


def at_equal_recall(lab, what, peer_name, ours, peer, truth, most, first=1) -> Row:
    """Both searches, each at its own cheapest setting; `first` is the knob's lowest."""
    mine = smallest(lab, lambda v: ours(max(v, first)), truth, most)
    theirs = smallest(lab, lambda v: peer(max(v, first)), truth, most)
    mine, theirs = max(mine, first), max(theirs, first)
    reached = [lab.recall_at_k(ids, truth) for ids in (ours(mine), peer(theirs))]
    return side_by_side(
        f"3.2 {what} {mine}, recall {reached[0]:.3f}",
        lambda: ours(mine),
        lambda: peer(theirs),
        f"{peer_name} {theirs}, recall {reached[1]:.3f}",
        rounds=5,
        repeats=1,
    )


def inverted_lists(lab, faiss, X, Q, truth) -> Row:
    ours = lab.IVFIndex(CELLS, seeding.rng(0, "3.2", "ivf"))
    ours.train(X)
    ours.add(X)
    cells = faiss.IndexFlatIP(DIM)
    theirs = faiss.IndexIVFFlat(cells, DIM, CELLS, faiss.METRIC_INNER_PRODUCT)
    theirs.train(X)
    theirs.add(X)

    def peer(n_probe: int) -> np.ndarray:
        theirs.nprobe = n_probe
        return theirs.search(Q, K)[1]

    return at_equal_recall(
        lab,
        "IVF, n_probe",
        "faiss IndexIVFFlat, nprobe",
        lambda n: ours.search(Q, K, n)[0],
        peer,
        truth,
        CELLS,
    )


def quantised(lab, faiss, X, Q, truth) -> Row:
    """The knob is how many are compared exactly; faiss calls k times it k_factor."""
    ours = lab.ProductQuantizer(BLOCKS, 256, seeding.rng(0, "3.2", "pq"))
    ours.fit(X)
    codes = ours.encode(X)
    coarse = faiss.IndexPQ(DIM, BLOCKS, 8)
    theirs = faiss.IndexRefineFlat(coarse)
    theirs.train(X)
    theirs.add(X)

    def peer(rerank: int) -> np.ndarray:
        theirs.k_factor = rerank / K
        return theirs.search(Q, K)[1]

    return at_equal_recall(
        lab,
        "PQ, rerank",
        "faiss IndexPQ, rerank",
        lambda r: ours.search(codes, Q, K, r, X)[0],
        peer,
        truth,
        2000,
        first=K,
    )


def graph(lab, faiss, X, Q, truth) -> Row:
    ours = lab.HNSW(8, 48, seeding.rng(0, "3.2", "hnsw"))
    ours.add(X)
    theirs = faiss.IndexHNSWFlat(DIM, 8)
    theirs.hnsw.efConstruction = 48
    theirs.add(X)

    def peer(ef: int) -> np.ndarray:
        theirs.hnsw.efSearch = ef
        return theirs.search(Q, K)[1]

    return at_equal_recall(
        lab,
        "HNSW, ef",
        "faiss IndexHNSWFlat, ef",
        lambda ef: ours.search(Q, K, ef)[0],
        peer,
        truth,
        1000,
        first=K,
    )
