"""Lab 3.3's n-gram counting beside a bare Counter, and scoring beside whole vectors.

One core. The peer of `fit` counts the same windows, orders 1 to 6, and keeps nothing
but the counts: what `fit` takes longer goes into tables, totals and continuation
counts. The peer of scoring asks for the distribution over all 65 symbols and reads one
of them, as a neural model must.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from common import datasets, labs
from tests.benchmarks.table import Row, seconds, side_by_side

ORDER, V = 6, 65


def rows() -> Iterator[Row]:
    """Fitting, scoring, and the whole way from text to perplexity."""
    lab, text = labs.solution("3.3"), datasets.shakespeare_characters()
    train = text.train.tolist()

    def fit():
        return lab.KneserNey(ORDER, V).fit(text.train)

    def count():
        for n in range(1, ORDER + 1):
            Counter(zip(*(train[start:] for start in range(n)), strict=False))

    turns = {"rounds": 3, "repeats": 1}
    what = "3.3 KneserNey(6).fit, 1.0 M characters"
    yield side_by_side(what, fit, count, "Counter, orders 1-6", **turns)
    model, some = fit(), text.valid[:2_000]

    def score():
        return lab.token_probs(model, some)

    def whole_vectors():
        ids = some.tolist()
        rows = (model.probs(ids[max(0, i - 5) : i]) for i in range(len(ids)))
        return np.array([p[w] for p, w in zip(rows, ids, strict=True)])

    what = "3.3 KneserNey(6), scoring 2,000 characters"
    yield side_by_side(what, score, whole_vectors, "all 65 probabilities", **turns)
    scoring = seconds(lambda: lab.token_probs(model, text.valid), 3)
    whole = seconds(fit, 1) + scoring
    rate = len(text.valid) / scoring
    yield Row(
        f"3.3 fit and score 111,540 characters ({rate:,.0f} a second)",
        f"{whole:.1f} s",
        "10 s: the design's limit",
        whole / 10,
        "x time",
        "at most 1",
    )
