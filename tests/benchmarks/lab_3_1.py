"""Lab 3.1 beside gensim's Word2Vec: one worker, one epoch, the same text and settings.

gensim trains in C with float32; ours is NumPy with float64. PPMI-SVD is no training at
all: its row compares the time from text to vectors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from common import datasets, labs
from tests.benchmarks.table import Row, side_by_side

DIM, WINDOW, NEGATIVES, MIN_COUNT = 100, 5, 5, 10


def text() -> list[list[str]]:
    """WikiText-2, valid and test, or where it is missing Python's documentation."""
    if datasets.available("wikitext-2"):
        lines = (datasets.wikitext2("valid") + datasets.wikitext2("test")).split("\n")
    else:
        lines = [passage for _, passage in datasets.python_docs_passages()]
    words = (re.findall("[a-z]+", line.lower().replace("<unk>", " ")) for line in lines)
    return [sentence for sentence in words if len(sentence) > 1]


def rows() -> Iterator[Row]:
    """Counting, and both ways to vectors."""
    from gensim.models import Word2Vec
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    lab, sentences = labs.solution("3.1"), text()
    itos, counts = lab.build_vocab(sentences, MIN_COUNT)
    ids = lab.encode(sentences, itos)
    n, once = int(counts.sum()), {"rounds": 2, "repeats": 1}

    def word2vec():
        # batch_words: as ours, gensim may draw nothing out (sample=0)
        return Word2Vec(
            sentences,
            vector_size=DIM,
            window=WINDOW,
            negative=NEGATIVES,
            min_count=MIN_COUNT,
            sg=1,
            sample=0,
            epochs=1,
            workers=1,
            seed=1,
        )

    def sgns():
        found, frequency = lab.build_vocab(sentences, MIN_COUNT)
        rng = np.random.default_rng(0)
        return lab.train_sgns(
            lab.encode(sentences, found),
            frequency,
            DIM,
            WINDOW,
            NEGATIVES,
            1,
            0.025,
            512,
            rng,
        )

    def matrix():
        found, frequency = lab.build_vocab(sentences, MIN_COUNT)
        C = lab.cooccurrence(
            lab.encode(sentences, found), len(frequency), WINDOW, "distance"
        )
        return lab.ppmi(C, alpha=0.75)

    with threadpool_limits(1):
        named = f"{n:,} words"
        yield side_by_side(
            f"3.1 SGNS, {named}, an epoch", sgns, word2vec, "gensim", **once
        )
        yield side_by_side(
            f"3.1 PPMI-SVD, {named}, d = {DIM}",
            lambda: lab.svd_embeddings(matrix(), DIM),
            word2vec,
            "gensim, an epoch",
            **once,
        )
        M = matrix()
        yield side_by_side(
            f"3.1 svd_embeddings, {M.shape[0]:,} words",
            lambda: lab.svd_embeddings(M, DIM),
            lambda: randomized_svd(M, DIM, random_state=0),
            "sklearn randomized_svd",
            **once,
        )
        V = len(itos)
        yield side_by_side(
            f"3.1 cooccurrence, {named}, window {WINDOW}",
            lambda: lab.cooccurrence(ids, V, WINDOW),
            lambda: pair_loop(ids, V),
            "a loop over pairs",
            "at least 20",
            **once,
        )


def pair_loop(sentences: list[np.ndarray], V: int):
    """The same counts by plain Python."""
    from scipy.sparse import csr_matrix

    cells: dict[tuple[int, int], float] = {}
    for words in sentences:
        ids = words.tolist()
        for i, a in enumerate(ids):
            for b in ids[i + 1 : i + 1 + WINDOW]:
                cells[a, b] = cells.get((a, b), 0.0) + 1.0
                cells[b, a] = cells.get((b, a), 0.0) + 1.0
    places, values = np.array([*cells]), np.array([*cells.values()])
    return csr_matrix((values, (places[:, 0], places[:, 1])), (V, V))
