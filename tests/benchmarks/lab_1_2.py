"""Lab 1.2's indexes beside scikit-learn and bm25s, on WikiText-2 passages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common import datasets, labs
from tests.benchmarks.table import Row, seconds

QUERIES = 200


def rows() -> Iterator[Row]:
    """Fit and query: TF-IDF beside TfidfVectorizer, BM25 beside bm25s."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    lab = labs.solution("1.2")
    passages = datasets.wikitext2_passages()
    docs = [text for _, text in passages]
    titles = list(dict.fromkeys(title for title, _ in passages))
    queries = [titles[i % len(titles)] for i in range(QUERIES)]

    ours, peer = lab.TfidfIndex(), TfidfVectorizer()
    yield _row(
        f"1.2 TF-IDF fit, {len(docs):,} passages",
        seconds(lambda: ours.fit(docs), 3),
        seconds(lambda: peer.fit_transform(docs), 3),
        "sklearn TfidfVectorizer",
        "at most 1.3",
    )
    weights = peer.fit_transform(docs)

    def sklearn_search() -> None:
        for query in queries:
            scores = (peer.transform([query]) @ weights.T).toarray().ravel()
            np.argsort(-scores)[:5]

    yield _row(
        "1.2 TF-IDF query, top 5",
        seconds(lambda: [ours.search(q, 5) for q in queries], 3) / QUERIES,
        seconds(sklearn_search, 3) / QUERIES,
        "sklearn: transform, product, argsort",
        "at most 0.33",
    )
    yield from _bm25(lab, docs, queries)


def _bm25(lab, docs: list[str], queries: list[str]) -> Iterator[Row]:
    import bm25s

    ours, theirs = lab.BM25Index(), bm25s.BM25(k1=1.2, b=0.75)

    def fit_theirs() -> None:
        tokens = bm25s.tokenize(docs, stopwords=None, show_progress=False)
        theirs.index(tokens, show_progress=False)

    yield _row(
        "1.2 BM25 fit",
        seconds(lambda: ours.fit(docs), 3),
        seconds(fit_theirs, 3),
        "bm25s",
    )

    def search_theirs() -> None:
        for query in queries:
            asked = bm25s.tokenize([query], stopwords=None, show_progress=False)
            theirs.retrieve(asked, k=5, show_progress=False)

    yield _row(
        "1.2 BM25 query, top 5",
        seconds(lambda: [ours.search(q, 5) for q in queries], 3) / QUERIES,
        seconds(search_theirs, 3) / QUERIES,
        "bm25s, tokenizing included",
    )


def _row(what: str, ours: float, peer: float, name: str, wanted: str = "") -> Row:
    mine, theirs = f"{ours * 1000:.2f} ms", f"{peer * 1000:.2f} ms: {name}"
    return Row(what, mine, theirs, ours / peer, "x time", wanted)
