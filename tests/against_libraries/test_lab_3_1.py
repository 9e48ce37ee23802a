"""Lab 3.1 beside torch's autograd, scikit-learn, a dense SVD, and on real text.

The grader has loops and differences instead, because torch takes longer to import than
the whole grader takes to run.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.metrics import mutual_info_score
from sklearn.utils.extmath import randomized_svd
from torch.nn.functional import logsigmoid

from common import datasets, labs
from tests.support import requires


@pytest.fixture(scope="module")
def lab():
    return labs.solution("3.1")


@pytest.mark.parametrize("seed", range(5))
def test_gradients_are_those_of_autograd(lab, seed):
    rng = np.random.default_rng(seed)
    V, d, B, K = 9, 5, 40, 4  # every word stands in the batch several times
    W_in, W_out = rng.normal(0, 2, (2, V, d))
    c, o, k = (rng.integers(0, V, shape) for shape in (B, B, (B, K)))
    k[:3, 0] = o[:3]  # a negative that is the context
    loss, dW_in, dW_out = lab.sgns_loss_and_grads(W_in, W_out, c, o, k)
    In, Out = (torch.tensor(W, requires_grad=True) for W in (W_in, W_out))
    v = In[torch.tensor(c)]
    seen = (v * Out[torch.tensor(o)]).sum(1)
    noise = (v[:, None] * Out[torch.tensor(k)]).sum(2)
    theirs = -(logsigmoid(seen) + logsigmoid(-noise).sum(1)).mean()
    theirs.backward()
    assert abs(loss - theirs.item()) < 1e-12
    np.testing.assert_allclose(dW_in, In.grad, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dW_out, Out.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_mean_pmi_is_scikit_learns_mutual_information(lab, seed):
    rng = np.random.default_rng(seed)
    C = rng.poisson(1.0, (30, 40)).astype(np.float64)
    M = lab.ppmi(csr_matrix(C), positive=False)
    ours = (C / C.sum() * M.toarray()).sum()
    theirs = mutual_info_score(None, None, contingency=csr_matrix(C))
    assert abs(ours - theirs) < 1e-12


def corpus_of_help(count: int) -> list[list[str]]:
    passages = datasets.python_docs_passages()[:count]
    return [re.findall("[a-z]+", text.lower()) for _, text in passages]


def test_vectors_of_real_text_are_those_of_a_dense_svd(lab):
    text = corpus_of_help(2000)
    itos, _ = lab.build_vocab(text, min_count=5)
    C = lab.cooccurrence(lab.encode(text, itos), len(itos), 5, "distance")
    M = lab.ppmi(C, alpha=0.75)
    E = lab.svd_embeddings(M, 20)
    U, s, _ = np.linalg.svd(M.toarray())
    expected = (U[:, :20] * s[:20]) @ U[:, :20].T
    np.testing.assert_allclose(E @ E.T, expected, rtol=0, atol=1e-8)
    U, s, _ = randomized_svd(M, 20, n_iter=30, random_state=0)
    off = np.linalg.norm(E @ E.T - (U * s) @ U.T) / np.linalg.norm(E @ E.T)
    assert off < 1e-2


def test_the_readmes_planted_corpus(lab):
    """6 things and 4 qualities: all 360 analogies, with several numbers of columns."""
    from itertools import permutations

    rng = np.random.default_rng(0)
    sentences = []
    for _ in range(6000):
        i, j = rng.integers(6), rng.integers(4)
        around = [24 + f * 8 + rng.integers(8, size=3) for f in (i, 6 + j)]
        sentences.append(rng.permutation([i * 4 + j, *around[0], *around[1]]))
    M = lab.ppmi(lab.cooccurrence(sentences, 24 + 80, 10))
    for dim in (8, 12, 16):
        E = lab.svd_embeddings(M, dim)
        for i, j in permutations(range(6), 2):
            for p, q in permutations(range(4), 2):
                ids, _ = lab.analogy(E, i * 4 + p, i * 4 + q, j * 4 + p)
                assert ids[0] == j * 4 + q


def test_neighbours_in_shakespeare(lab):
    """Speeches as sentences; four pairs that anybody would expect."""
    requires("tinyshakespeare")
    speeches = datasets.tiny_shakespeare().lower().split("\n\n")
    text = [re.findall("[a-z']+", speech) for speech in speeches]
    itos, _ = lab.build_vocab(text, min_count=10)
    C = lab.cooccurrence(lab.encode(text, itos), len(itos), 5, "distance")
    E = lab.svd_embeddings(lab.ppmi(C, alpha=0.75), 100)
    for word, friend in (
        ("eyes", "tears"),
        ("death", "life"),
        ("night", "morning"),
        ("king", "edward"),
    ):
        ids, _ = lab.most_similar(E, itos.index(word), 10)
        assert friend in [itos[i] for i in ids]


def test_vectors_train_as_gensims_do(lab):
    """Same planted text, same settings: both solve nearly all of its analogies."""
    gensim = pytest.importorskip("gensim.models")
    rng = np.random.default_rng(1)
    sentences = []
    for _ in range(3000):
        i, j = rng.integers(4), rng.integers(3)
        around = [12 + f * 8 + rng.integers(8, size=3) for f in (i, 4 + j)]
        sentences.append(rng.permutation([i * 3 + j, *around[0], *around[1]]))
    counts = np.bincount(np.concatenate(sentences), minlength=12 + 56)
    ours, _ = lab.train_sgns(sentences, counts, 12, 6, 5, 3, 0.1, 64, rng)
    settings = {"vector_size": 12, "window": 6, "sg": 1, "negative": 5, "sample": 0}
    settings |= {"min_count": 1, "epochs": 3, "alpha": 0.1, "workers": 1, "seed": 1}
    model = gensim.Word2Vec([[str(i) for i in s] for s in sentences], **settings)
    theirs = np.array([model.wv[str(i)] for i in range(len(counts))], dtype=np.float64)

    def solved(E):
        right = 0
        for i, j, p, q in np.ndindex(4, 4, 3, 3):
            if i != j and p != q:
                ids, _ = lab.analogy(E, i * 3 + p, i * 3 + q, j * 3 + p)
                right += ids[0] == j * 3 + q
        return right / 72

    assert solved(ours) > 0.9
    assert solved(ours) > solved(theirs) - 0.1
