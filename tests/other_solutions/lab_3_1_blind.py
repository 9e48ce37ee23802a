"""Lab 3.1, a solution written from README and stub alone.

By dictionaries and loops, logs for PPMI, eigh of M Mᵀ, one sparse matrix for SGNS.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix


def demand(fine: bool, name: str, what: str) -> None:
    """ValueError that names the argument, unless all is fine."""
    if not fine:
        raise ValueError(f"{name} {what}")


def demand_ids(size: int, name: str, ids: Iterable[int]) -> None:
    for i in ids:
        demand(0 <= i < size, name, f"has the id {i}, outside 0..{size - 1}")


def draw(weights: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator):
    """Indices in proportion to weights, through the inverse distribution function."""
    total = np.cumsum(weights)
    return np.searchsorted(total / total[-1], rng.random(shape), side="right")


def unit(x: np.ndarray) -> np.ndarray:
    """A vector at length 1, or zeros; scaled first, so that no square overflows."""
    x = np.asarray(x, dtype=np.float64)
    largest = max(map(abs, x.tolist()), default=0.0)
    if largest == 0:
        return np.zeros_like(x)
    x = x / largest
    return x / math.sqrt(math.fsum(x * x))


def encode(sentences: Iterable[Sequence[str]], itos: Sequence[str]) -> list[np.ndarray]:
    ids = {word: i for i, word in enumerate(itos)}
    return [
        np.array([ids[word] for word in words if word in ids], dtype=np.int64)
        for words in sentences
    ]


def flatten(sentences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    words = [int(word) for sentence in sentences for word in sentence]
    owner = [s for s, sentence in enumerate(sentences) for _ in sentence]
    return np.array(words, dtype=np.int64), np.array(owner, dtype=np.int64)


def build_vocab(sentences, min_count=1, max_size=None):
    demand(min_count >= 1, "min_count", "must be at least 1")
    demand(max_size is None or max_size >= 1, "max_size", "must be at least 1")
    tally: dict[str, int] = defaultdict(int)
    for words in sentences:
        for word in words:
            tally[word] += 1
    classes = defaultdict(list)  # the words of each count
    for word, n in tally.items():
        if n >= min_count:
            classes[n].append(word)
    itos = [word for n in sorted(classes, reverse=True) for word in sorted(classes[n])]
    demand(len(itos) > 0, "sentences", f"have no word that occurs {min_count} times")
    itos = itos[:max_size]
    return itos, np.array([tally[word] for word in itos], dtype=np.int64)


def cooccurrence(sentences, vocab_size, window, weighting="uniform"):
    demand(window >= 1, "window", "must be at least 1")
    demand(weighting in ("uniform", "distance"), "weighting", f"is {weighting!r}")
    cells: dict[tuple[int, int], float] = defaultdict(float)
    for sentence in sentences:
        ids = [int(i) for i in sentence]
        demand_ids(vocab_size, "sentences", ids)
        for here, i in enumerate(ids):
            for there in range(here + 1, min(len(ids), here + int(window) + 1)):
                weight = 1.0 if weighting == "uniform" else 1.0 / (there - here)
                cells[i, ids[there]] += weight
                cells[ids[there], i] += weight
    keys = sorted(cells)
    rows = np.array([i for i, _ in keys], dtype=np.int64)
    cols = np.array([j for _, j in keys], dtype=np.int64)
    data = np.array([cells[key] for key in keys], dtype=np.float64)
    return csr_matrix((data, (rows, cols)), shape=(vocab_size, vocab_size))


def ppmi(C, alpha=1.0, shift=1.0, positive=True):
    demand(alpha > 0, "alpha", "must be above 0")
    demand(shift > 0, "shift", "must be above 0")
    triples = coo_matrix(C)
    cells: dict[tuple[int, int], float] = defaultdict(float)
    for i, j, n in zip(
        triples.row.tolist(), triples.col.tolist(), triples.data.tolist(), strict=True
    ):
        demand(n >= 0, "C", "must be 0 or more in each cell")
        if n > 0:
            cells[i, j] += float(n)
    demand(len(cells) > 0, "C", "must not be all 0")
    row_sum, col_sum = defaultdict(float), defaultdict(float)
    for (i, j), n in cells.items():
        row_sum[i] += n
        col_sum[j] += n
    # ln p(i, j) - ln p(i) = ln C_ij - ln r_i: the sum of C drops out
    logs = {j: alpha * math.log(c) for j, c in col_sum.items()}
    top = max(logs.values())
    log_total = top + math.log(math.fsum(math.exp(x - top) for x in logs.values()))
    rows, cols, data = [], [], []
    for (i, j), n in sorted(cells.items()):
        pmi = math.log(n) - math.log(row_sum[i]) - (logs[j] - log_total)
        pmi -= math.log(shift)
        if pmi > 0 or not positive:
            rows.append(i)
            cols.append(j)
            data.append(pmi)
    where = (np.array(rows, dtype=np.int64), np.array(cols, dtype=np.int64))
    return csr_matrix((np.array(data, dtype=np.float64), where), shape=C.shape)


def svd_embeddings(M, dim, power=0.5):
    demand(1 <= dim < min(M.shape), "dim", f"must be in 1..{min(M.shape) - 1}")
    dense = M.toarray().astype(np.float64)
    _, vectors = np.linalg.eigh(dense @ dense.T)  # the smallest first
    left = vectors[:, ::-1][:, :dim]
    values = np.sqrt(((dense.T @ left) ** 2).sum(axis=0))
    order = np.argsort(-values, kind="stable")
    columns = []
    for column in order:
        u = left[:, column]
        sign = -1.0 if u[int(np.argmax(np.abs(u)))] < 0 else 1.0
        columns.append(sign * u * values[column] ** power)
    return np.stack(columns, axis=1)


def sgns_loss_and_grads(W_in, W_out, centers, contexts, negatives):
    W_in = np.asarray(W_in, dtype=np.float64)
    W_out = np.asarray(W_out, dtype=np.float64)
    centers, contexts = np.asarray(centers), np.asarray(contexts)
    negatives = np.asarray(negatives)
    demand(centers.size > 0, "centers", "must have at least one id")
    demand(negatives.size > 0, "negatives", "must have at least one for each center")
    demand_ids(len(W_in), "centers", centers.tolist())
    demand_ids(len(W_out), "contexts", contexts.tolist())
    demand_ids(len(W_out), "negatives", negatives.ravel().tolist())
    B, K = negatives.shape
    # One list of questions "was j near c?": B times yes, then B K times no
    asked = np.concatenate([contexts, negatives.ravel()])
    of = np.concatenate([centers, np.repeat(centers, K)])
    sign = np.repeat([1.0, -1.0], [B, B * K])
    scores = np.einsum("nd,nd->n", W_in[of], W_out[asked])
    losses = np.logaddexp(0.0, -sign * scores)  # -ln σ(± s)
    slopes = -sign * np.exp(-np.logaddexp(0.0, sign * scores)) / B
    G = coo_matrix((slopes, (of, asked)), shape=(len(W_in), len(W_out))).tocsr()
    return float(losses.sum() / B), G @ W_out, G.T @ W_in


def check_counts(counts: np.ndarray) -> list[float]:
    numbers = [float(n) for n in counts]
    demand(all(n >= 0 for n in numbers), "counts", "must be 0 or more")
    demand(any(n > 0 for n in numbers), "counts", "must not be all 0")
    return numbers


def keep_probability(counts, t=1e-3):
    demand(t > 0, "t", "must be above 0")
    numbers = check_counts(counts)
    total = math.fsum(numbers)
    return np.array(
        [math.sqrt(t * total / n) if t * total < n else 1.0 for n in numbers]
    )


def noise_distribution(counts, power=0.75):
    demand(power > 0, "power", "must be above 0")
    numbers = check_counts(counts)
    largest = max(numbers)
    shares = np.array([(n / largest) ** power for n in numbers])
    return shares / math.fsum(shares)


def skipgram_pairs(sentences, windows):
    demand(len(windows) == len(sentences), "windows", "must be one array a sentence")
    pairs = []
    for sentence, reach in zip(sentences, windows, strict=True):
        n = len(sentence)
        demand(len(reach) == n, "windows", "must have one window for each place")
        for i, w in enumerate(reach):
            demand(w >= 0, "windows", "must be 0 or more")
            near = [j for j in range(n) if j != i and abs(j - i) <= w]
            pairs += [(int(sentence[i]), int(sentence[j])) for j in near]
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
    whole = {
        "dim": dim,
        "window": window,
        "negatives": negatives,
        "epochs": epochs,
        "batch": batch,
    }
    for name, number in whole.items():
        demand(number >= 1, name, "must be at least 1")
    demand(lr > 0, "lr", "must be above 0")
    noise = noise_distribution(counts)
    size = len(noise)
    for sentence in sentences:
        demand_ids(size, "sentences", sentence)
    demand(any(len(s) > 1 for s in sentences), "sentences", "must have a pair")
    if W_in is None:
        W_in = (rng.random((size, dim)) - 0.5) / dim
    else:
        W_in = np.array(W_in, dtype=np.float64)
    if W_out is None:
        W_out = np.zeros_like(W_in)
    else:
        W_out = np.array(W_out, dtype=np.float64)
    losses = []
    for epoch in range(epochs):
        windows = [rng.integers(1, window + 1, size=len(s)) for s in sentences]
        centers, contexts = skipgram_pairs(sentences, windows)
        P = len(centers)
        order = np.argsort(rng.random(P))
        for done in range(0, P, batch):
            rows = order[done : done + batch]
            B = len(rows)
            drawn = draw(noise, (B, negatives), rng)
            loss, dW_in, dW_out = sgns_loss_and_grads(
                W_in, W_out, centers[rows], contexts[rows], drawn
            )
            rate = lr * (1 - (1 - 1e-4) * (epoch + done / P) / epochs)
            W_in = W_in - rate * B * dW_in
            W_out = W_out - rate * B * dW_out
            losses.append(loss)
    return W_in, np.array(losses, dtype=np.float64)


def most_similar(E, query, k, exclude=()):
    out = {int(i) for i in exclude}
    demand_ids(len(E), "exclude", out)
    if np.ndim(query) == 0:
        demand_ids(len(E), "query", [query])
        out.add(int(query))
        query = E[int(query)]
    q = unit(query)
    ranked = sorted(
        (-math.fsum(unit(row) * q), i) for i, row in enumerate(E) if i not in out
    )
    demand(1 <= k <= len(ranked), "k", f"must be in 1..{len(ranked)}")
    ids = np.array([i for _, i in ranked[:k]], dtype=np.int64)
    return ids, np.array([-negated for negated, _ in ranked[:k]], dtype=np.float64)


def analogy(E, a, b, c, k=1):
    for name, i in {"a": a, "b": b, "c": c}.items():
        demand_ids(len(E), name, [i])
    target = unit(E[b]) - unit(E[a]) + unit(E[c])
    return most_similar(E, target, k, exclude=(a, b, c))


def cluster(E, k, rng, iters=50):
    demand(1 <= k <= len(E), "k", f"must be in 1..{len(E)}")
    demand(iters >= 1, "iters", "must be at least 1")
    X = np.array([unit(row) for row in E])
    demand(all(row.any() for row in X), "E", "must have no row of zeros")
    chosen = [int(rng.integers(len(X)))]
    while len(chosen) < k:
        gap = np.min([((X - X[i]) ** 2).sum(axis=1) for i in chosen], axis=0) / 2
        if gap.sum() == 0:  # fewer directions than k: any will do
            gap = np.ones(len(X))
        chosen.append(int(draw(gap, (), rng)))
    centroids = X[chosen].copy()
    labels = None
    for _ in range(iters):
        cosines = np.einsum("nd,kd->nk", X, centroids)
        new = [max(range(k), key=row.__getitem__) for row in cosines.tolist()]
        members = [{i for i, label in enumerate(new) if label == g} for g in range(k)]
        for g in range(k):
            if not members[g]:
                free = [i for i, label in enumerate(new) if len(members[label]) > 1]
                moved = min(free, key=lambda i: (cosines[i, new[i]], i))
                members[new[moved]].remove(moved)
                members[g].add(moved)
                new[moved] = g
        for g in range(k):
            middle = X[sorted(members[g])].sum(axis=0)
            if middle.any():  # opposite vectors cancel: the old centroid stays
                centroids[g] = unit(middle)
        if new == labels:
            break
        labels = new
    return np.array(labels, dtype=np.int64), centroids
