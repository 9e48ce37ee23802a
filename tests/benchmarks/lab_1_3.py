"""Lab 1.3's exact top-k beside scikit-learn's brute force and faiss's IndexFlatIP."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common import labs, seeding
from tests.benchmarks.table import Row, seconds

N_ITEMS, N_QUERIES, DIM, K = 20_000, 100, 128, 10


def rows() -> Iterator[Row]:
    """Ten nearest of 20,000 vectors for 100 queries, float32, one thread."""
    import faiss
    from sklearn.neighbors import NearestNeighbors

    faiss.omp_set_num_threads(1)
    lab = labs.solution("1.3")
    rng = seeding.rng(0, "top-k")
    items = rng.standard_normal((N_ITEMS, DIM)).astype(np.float32)
    queries = rng.standard_normal((N_QUERIES, DIM)).astype(np.float32)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(items)
    brute = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(items)
    dot = seconds(lambda: lab.top_k(queries, items, K, metric="dot"))
    far = seconds(lambda: lab.top_k(queries, items, K, metric="euclidean"))
    yield _row(
        "dot", dot, seconds(lambda: flat.search(queries, K)), "faiss IndexFlatIP"
    )
    yield _row(
        "euclidean",
        far,
        seconds(lambda: brute.kneighbors(queries)),
        "sklearn brute force",
        "at least 0.8",
    )
    whole = seconds(lambda: np.argsort(-(queries @ items.T), axis=1)[:, :K])
    yield _row("dot", dot, whole, "a full argsort", "at least 2")


def _row(metric: str, ours: float, peer: float, name: str, wanted: str = "") -> Row:
    return Row(
        f"1.3 top-{K} by {metric}",
        f"{ours * 1000:.1f} ms",
        f"{peer * 1000:.1f} ms: {name}",
        peer / ours,
        "x speed",
        wanted,
    )
