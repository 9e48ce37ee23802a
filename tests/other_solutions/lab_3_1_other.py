"""Another way through lab 3.1: dictionaries, dense matrices, eigenvectors, one by one.

Nothing of labs 1.3 and 1.5 is used, and hardly anything of scipy.
"""

import heapq
import math
from collections import defaultdict

import numpy as np
import scipy.sparse as sp


def _need(good, message):
    if not good:
        raise ValueError(message)


def _inside(name, values, V):
    for value in np.asarray(values, dtype=np.int64).ravel().tolist():
        _need(0 <= value < V, f"{name}: {value} is not in 0..{V - 1}")


# --- 1 ---


def build_vocab(sentences, min_count=1, max_size=None):
    _need(min_count >= 1, "min_count is too small")
    _need(max_size is None or max_size >= 1, "max_size is too small")
    seen = defaultdict(int)
    for words in sentences:
        for word in words:
            seen[word] += 1
    heap = [(-count, word) for word, count in seen.items() if count >= min_count]
    _need(heap, "the sentences are too few")
    heapq.heapify(heap)
    itos, counts = [], []
    while heap and (max_size is None or len(itos) < max_size):
        count, word = heapq.heappop(heap)
        itos.append(word)
        counts.append(-count)
    return itos, np.asarray(counts)


def cooccurrence(sentences, vocab_size, window, weighting="uniform"):
    _need(window > 0, "window is too small")
    _need(weighting in {"uniform", "distance"}, "weighting is unknown")
    cells = defaultdict(float)
    for words in sentences:
        _inside("sentences", words, vocab_size)
        for i in range(len(words)):
            for j in range(i + 1, min(i + window, len(words) - 1) + 1):
                weight = 1.0 if weighting == "uniform" else (j - i) ** -1.0
                cells[int(words[i]), int(words[j])] += weight
                cells[int(words[j]), int(words[i])] += weight
    C = sp.dok_matrix((vocab_size, vocab_size), dtype=np.float64)
    for cell, weight in cells.items():
        C[cell] = weight
    return sp.csr_matrix(C)


# --- 2 ---


def ppmi(C, alpha=1.0, shift=1.0, positive=True):
    _need(alpha > 0, "alpha is too small")
    _need(shift > 0, "shift is too small")
    A = C.toarray()
    _need((A >= 0).all() and A.any(), "C has no counts, or negative ones")
    joint = A / A.sum()
    left = joint.sum(axis=1, keepdims=True)
    right = joint.sum(axis=0, keepdims=True) ** alpha
    right = right / right.sum()
    expected = left * right
    seen = A > 0
    out = np.zeros(A.shape)
    out[seen] = np.log(joint[seen]) - np.log(expected[seen] * shift)
    if positive:
        out[out < 0] = 0
    rows, columns = out.nonzero()
    if not positive:
        rows, columns = seen.nonzero()
    return sp.coo_matrix((out[rows, columns], (rows, columns)), A.shape).tocsr()


# --- 3 ---


def svd_embeddings(M, dim, power=0.5):
    A = M.toarray()
    _need(0 < dim < min(A.shape), f"dim = {dim}")
    values, vectors = np.linalg.eigh(A @ A.T)
    E = vectors[:, ::-1][:, :dim] * values[::-1][:dim] ** (power / 2)
    for j in range(dim):
        column = E[:, j]
        if column[np.abs(column).argmax()] < 0:
            E[:, j] = -column
    return E


# --- 4 ---


def sgns_loss_and_grads(W_in, W_out, centers, contexts, negatives):
    _inside("centers", centers, len(W_in))
    _inside("contexts", contexts, len(W_out))
    _inside("negatives", negatives, len(W_out))
    dW_in, dW_out = np.zeros_like(W_in), np.zeros_like(W_out)
    n, total = len(centers), 0.0
    v = W_in[centers]
    for column, sign in [(contexts, 1.0), *[(k, -1.0) for k in negatives.T]]:
        u = W_out[column]
        x = sign * (u * v).sum(axis=1)
        # -ln σ(x), by its two halves
        total += (np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)).sum()
        slope = -sign * (0.5 - 0.5 * np.tanh(x / 2)) / n  # -σ(-x)
        np.add.at(dW_in, centers, slope[:, None] * u)
        np.add.at(dW_out, column, slope[:, None] * v)
    return float(total / n), dW_in, dW_out


# --- 5 ---


def _positive_counts(counts):
    counts = np.asarray(counts)
    _need((counts >= 0).all() and (counts > 0).any(), f"counts: {counts}")
    return counts


def keep_probability(counts, t=1e-3):
    counts = _positive_counts(counts)
    _need(t > 0, "t is too small")
    total = counts.sum()
    return np.array(
        [1.0 if n <= t * total else math.sqrt(t * total / n) for n in counts]
    )


def noise_distribution(counts, power=0.75):
    _need(power > 0, "power is too small")
    weights = np.power(_positive_counts(counts), power, dtype=np.float64)
    return weights / np.sum(weights)


def skipgram_pairs(sentences, windows):
    _need(len(sentences) == len(windows), "windows and sentences differ")
    pairs = []
    for words, reach in zip(sentences, windows):
        _need(len(words) == len(reach), "windows and sentences differ")
        for i, w in enumerate(reach):
            _need(w >= 0, "windows are negative")
            around = [
                *range(max(0, i - w), i),
                *range(i + 1, min(len(words), i + w + 1)),
            ]
            pairs += [(words[i], words[j]) for j in around]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def train_sgns(
    sentences,
    counts,
    dim,
    window,
    negatives,
    epochs,
    lr,
    batch,
    rng,
    W_in=None,
    W_out=None,
):
    _need(dim >= 1, "dim")
    _need(window >= 1, "window")
    _need(negatives >= 1, "negatives")
    _need(epochs >= 1, "epochs")
    _need(batch >= 1, "batch")
    _need(lr > 0, "lr")
    V = len(counts)
    for words in sentences:
        _inside("sentences", words, V)
    _need(any(len(words) > 1 for words in sentences), "sentences without a pair")
    noise = noise_distribution(counts)
    W_in = (rng.random((V, dim)) - 0.5) / dim if W_in is None else W_in.copy()
    W_out = np.zeros(W_in.shape) if W_out is None else W_out.copy()
    losses = []
    for epoch in range(epochs):
        windows = [1 + rng.integers(window, size=len(words)) for words in sentences]
        table = np.column_stack(skipgram_pairs(sentences, windows))
        rng.shuffle(table)
        for start in range(0, len(table), batch):
            part = table[start : start + batch]
            x = epoch / epochs + start / len(table) / epochs
            others = rng.choice(V, size=(len(part), negatives), p=noise)
            loss, d_in, d_out = sgns_loss_and_grads(
                W_in, W_out, part[:, 0], part[:, 1], others
            )
            rate = (lr * (1 - x) + lr * 1e-4 * x) * len(part)
            W_in = W_in - rate * d_in
            W_out = W_out - rate * d_out
            losses.append(loss)
    return W_in, np.array(losses)


# --- 6 ---


def _unit(x):
    length = math.hypot(*x)
    return x / length if length else x * 0.0


def most_similar(E, query, k, exclude=()):
    exclude = [int(i) for i in exclude]
    _inside("exclude", exclude, len(E))
    if np.isscalar(query) or np.ndim(query) == 0:
        _inside("query", [query], len(E))
        exclude.append(int(query))
        query = E[query]
    cosines = np.array([_unit(row) for row in E]) @ _unit(np.asarray(query))
    allowed = [i for i in range(len(E)) if i not in exclude]
    _need(0 < k <= len(allowed), f"k = {k}")
    best = heapq.nsmallest(k, allowed, key=lambda i: (-cosines[i], i))
    return np.array(best), cosines[best]


def analogy(E, a, b, c, k=1):
    for name, word in {"a": a, "b": b, "c": c}.items():
        _inside(name, [word], len(E))
    target = _unit(E[b]) - _unit(E[a]) + _unit(E[c])
    return most_similar(E, target, k, exclude={a, b, c})


def cluster(E, k, rng, iters=50):
    _need(0 < k <= len(E), f"k = {k}")
    _need(iters > 0, f"iters = {iters}")
    X = np.array([_unit(row) for row in E])
    start = [int(rng.random() * len(X))]
    while len(start) < k:
        far = np.clip((1 - X @ X[start].T).min(axis=1), 0, None)
        far[start] = 0
        if far.sum() < 1e-12:
            start.append(next(i for i in range(len(X)) if i not in start))
        else:
            place = rng.random() * far.sum()
            start.append(int(np.searchsorted(np.cumsum(far), place, side="right")))
    centers = X[start].copy()
    labels = None
    for _ in range(iters):
        closest = np.array([int(np.argmax(centers @ x)) for x in X])
        for j in range(k):
            if not (closest == j).any():
                own = (X * centers[closest]).sum(axis=1)
                for i in np.argsort(own, kind="stable"):
                    if (closest == closest[i]).sum() > 1:
                        closest[i] = j
                        centers[j] = X[i]
                        break
        if labels is not None and (closest == labels).all():
            break
        labels = closest
        centers = np.array([_unit(X[labels == j].mean(axis=0)) for j in range(k)])
    return labels, centers
