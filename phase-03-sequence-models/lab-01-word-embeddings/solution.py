"""Word vectors, from counts of company and by predicting it.

You count which words stand near each other, weigh the counts by surprise (PPMI) and
compress them (SVD); then you learn vectors by prediction (word2vec's skip-gram with
negative sampling) and ask both for neighbours, analogies and clusters.

1 vocabulary, co-occurrence (2)   2 PPMI (2)                      3 SVD vectors (1)
4 SGNS loss and gradients (2)     5 sampling, training loop (1)   6 using vectors (2)

V words have ids 0..V - 1; a sentence is an int array of ids, and may be empty. Vectors
are the rows of a float64 array. A number outside the range that a docstring gives, and
an id outside 0..V - 1, is a ValueError that names the argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from scipy.special import expit  # the sigmoid, 1 / (1 + exp(-x)), without overflow

from common import labs

# From earlier labs; use them or not. help(top_k) says more.
# minibatches(*arrays, batch_size=B, rng=rng): one epoch in random order, B rows a time
minibatches = labs.solution("1.5").minibatches
normalize = labs.solution("1.3").normalize  # rows to length 1; zero rows stay zero
# top_k(queries, items, k, metric=...), "cosine" or "dot": ids and scores, (n, k) each
top_k = labs.solution("1.3").top_k


# --- Given: checks, ids, and sentences in one piece ------------------------------


def check_at_least_1(**numbers: float) -> None:
    """ValueError, with its name in it, for a number below 1."""
    for name, number in numbers.items():
        if not number >= 1:  # NaN is refused too
            raise ValueError(f"{name} must be at least 1, got {number}")


def check_above_0(**numbers: float) -> None:
    """ValueError, with its name in it, for a number that is not above 0."""
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name} must be above 0, got {number}")


def check_ids(vocab_size: int, **ids: int | Sequence[int] | np.ndarray) -> None:
    """ValueError, with its name in it, for ids outside 0..vocab_size - 1."""
    for name, values in ids.items():
        values = np.asarray(values)
        if values.size and not 0 <= values.min() <= values.max() < vocab_size:
            raise ValueError(f"{name} must have ids in 0..{vocab_size - 1}: {values}")


def encode(sentences: Iterable[Sequence[str]], itos: Sequence[str]) -> list[np.ndarray]:
    """Each sentence as int64 ids. Words that `itos` lacks are dropped, so that those
    around them move together, as in word2vec."""
    ids = {word: i for i, word in enumerate(itos)}
    return [
        np.array([ids[word] for word in words if word in ids], dtype=np.int64)
        for words in sentences
    ]


def flatten(sentences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All N words in one array (N,), and the number of each one's sentence (N,)."""
    lengths = [len(sentence) for sentence in sentences]
    empty = np.empty(0, dtype=np.int64)  # concatenate wants at least one array
    words = np.concatenate([empty, *sentences]).astype(np.int64)
    return words, np.repeat(np.arange(len(lengths)), lengths)


# --- Task 1 (2 points): vocabulary and co-occurrence -----------------------------


def build_vocab(
    sentences: Iterable[Sequence[str]], min_count: int = 1, max_size: int | None = None
) -> tuple[list[str], np.ndarray]:
    """The words that occur at least `min_count` times, the most frequent first.

    Of equally frequent words, the one that Python sorts first comes first.
    [["b", "a", "b"], ["c"]] gives (["b", "a", "c"], [2, 1, 1]).

    Args:
        sentences: lists of words; read once.
        min_count: at least 1.
        max_size: keep only the first so many words, at least 1; None keeps all.

    Returns:
        itos, where itos[i] is the word with id i, and counts, int64 (V,).

    Raises:
        ValueError: it names `sentences` where none of their words is frequent enough.
    """
    # task 1
    check_at_least_1(min_count=min_count, max_size=1 if max_size is None else max_size)
    found = Counter(word for words in sentences for word in words)
    frequent = [(word, n) for word, n in found.items() if n >= min_count]
    if not frequent:
        raise ValueError(f"sentences must have a word that occurs {min_count} times")
    frequent.sort(key=lambda pair: (-pair[1], pair[0]))
    itos, counts = zip(*frequent[:max_size], strict=True)
    return list(itos), np.array(counts, dtype=np.int64)


def cooccurrence(
    sentences: Sequence[np.ndarray],
    vocab_size: int,
    window: int,
    weighting: str = "uniform",
) -> csr_matrix:
    """How often two words stand at most `window` places apart in one sentence.

    Two places of a sentence at a distance d, 1 <= d <= window, with ids i and j, add
    their weight to (i, j) and to (j, i); where i = j, the diagonal gains it twice.
    [[0, 1, 2], [1, 0]] with window 2 gives [[0, 2, 1], [2, 0, 1], [1, 1, 0]].

    Args:
        sentences: int arrays.
        vocab_size: V.
        window: at least 1.
        weighting: "uniform" weighs every pair 1, "distance" weighs it 1/d; any other
            is a ValueError.

    Returns:
        float64 (V, V), with one stored entry for each pair of words that was seen.
    """
    # task 1
    check_at_least_1(window=window)
    if weighting not in ("uniform", "distance"):
        raise ValueError(f"weighting must be uniform or distance, got {weighting!r}")
    words, sentence = flatten(sentences)
    check_ids(vocab_size, sentences=words)
    C = csr_matrix((vocab_size, vocab_size), dtype=np.float64)
    for d in range(1, window + 1):  # all pairs of one distance at a time
        together = sentence[:-d] == sentence[d:]
        left, right = words[:-d][together], words[d:][together]
        weights = np.full(len(left), 1.0 if weighting == "uniform" else 1.0 / d)
        C = C + csr_matrix((weights, (left, right)), C.shape)  # adds up repeated pairs
    return C + C.T


# --- Task 2 (2 points): PPMI -----------------------------------------------------


def ppmi(
    C: csr_matrix, alpha: float = 1.0, shift: float = 1.0, positive: bool = True
) -> csr_matrix:
    """Positive pointwise mutual information: how much more often than by chance.

    PMI(i, j) = ln(p(i, j) / (p(i) p(j))) - ln(shift). With D the sum of C, r_i that of
    row i and c_j that of column j, p(i, j) = C_ij / D, p(i) = r_i / D, and
    p(j) = c_j^alpha / Σ_k c_k^alpha, which for alpha = 1 is c_j / D (Church and Hanks
    1990; alpha and shift: Levy, Goldberg, Dagan 2015). In [[0, 2, 1], [2, 0, 1],
    [1, 1, 0]] entry (0, 1) becomes ln((2/8) / (3/8 · 3/8)) = ln(16/9) = 0.5754.

    Args:
        C: (V, W), 0 or more each, not all 0; it need not be symmetric, nor float.
        alpha: above 0; below 1, rare columns surprise less.
        shift: above 0; with the number of negatives, this is what SGNS factors.
        positive: keep only what is above 0.

    Returns:
        float64 (V, W), a new matrix. Where C is 0, stored or not, it has no entry, and
        with `positive` none where PMI is 0 or below. (Without, a PMI of 0 may be
        stored or not; what rounding makes of it does not matter either.)
    """
    # task 2
    check_above_0(alpha=alpha, shift=shift)
    M = csr_matrix(C, dtype=np.float64, copy=True)
    M.eliminate_zeros()  # a stored 0 was not seen either
    if M.nnz == 0 or M.data.min() < 0:
        raise ValueError("C must have entries of 0 or more, and one above 0")
    rows, columns = (np.asarray(M.sum(axis)).ravel() for axis in (1, 0))
    context = columns**alpha / (columns**alpha).sum()  # (W,): p(j)
    row = np.repeat(np.arange(M.shape[0]), np.diff(M.indptr))  # of each stored entry
    # p(i, j) / p(i) is C_ij / r_i
    M.data = np.log(M.data / (rows[row] * context[M.indices])) - np.log(shift)
    if positive:
        M.data = np.maximum(M.data, 0.0)
        M.eliminate_zeros()
    return M


# --- Task 3 (1 point): SVD vectors -----------------------------------------------


def svd_embeddings(M: csr_matrix, dim: int, power: float = 0.5) -> np.ndarray:
    """Each row of M as `dim` numbers: U_d S_d^power, of the SVD M = U S Vᵀ.

    U_d and S_d are the `dim` largest singular values and their left vectors. With power
    1, U_d S_d (U_d S_d)ᵀ is M Mᵀ but for the directions left out; 0.5 or 0 let small
    directions say more, which suits word vectors (Levy, Goldberg, Dagan 2015).

    Args:
        M: (V, W), sparse.
        dim: 1 <= dim < min(V, W).
        power: of the singular values, any number.

    Returns:
        float64 (V, dim), columns from the largest singular value down. Singular vectors
        have no sign of their own: so that runs agree, the entry of largest magnitude in
        each column is positive (the first, if several are equal).
    """
    # task 3
    if not 1 <= dim < min(M.shape):
        raise ValueError(f"dim must be in 1..{min(M.shape) - 1}, got {dim}")
    # ARPACK starts at random; a start of our own gives the same bits in every run
    start = np.random.default_rng(0).standard_normal(min(M.shape))
    U, s, _ = svds(M, k=dim, v0=start)
    order = np.argsort(-s)  # ARPACK's are ascending
    E = U[:, order] * s[order] ** power
    largest = np.argmax(np.abs(E), axis=0)
    return E * np.where(E[largest, np.arange(dim)] < 0, -1.0, 1.0)


# --- Task 4 (2 points): skip-gram with negative sampling -------------------------


def sgns_loss_and_grads(
    W_in: np.ndarray,
    W_out: np.ndarray,
    centers: np.ndarray,
    contexts: np.ndarray,
    negatives: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss of skip-gram with negative sampling, and its gradients.

    A center c was seen near a context o; K negatives were drawn at random. With
    v = W_in[c] and u_j = W_out[j] the loss is -ln σ(u_o · v) - Σ_k ln σ(-u_k · v),
    where σ(x) = 1 / (1 + exp(-x)) (Mikolov et al. 2013b, eq. 4), and that of a batch is
    the mean of its B. Scores of ±1000 give neither inf nor NaN.

    Args:
        W_in, W_out: (V, d), the vector of each word as a center and as a context.
        centers, contexts: int (B,), B at least 1.
        negatives: int (B, K), K at least 1; one that equals the context or the center
            counts all the same. That the sizes fit each other need not be checked.

    Returns:
        The loss, a float in nats, and its derivatives dW_in and dW_out, float64 (V, d).
        A word that occurs several times in the batch has the sum of its parts.
    """
    # task 4
    check_ids(len(W_in), centers=centers)
    check_ids(len(W_out), contexts=contexts, negatives=negatives)
    B = len(centers)
    words = np.column_stack([contexts, negatives])  # (B, 1 + K)
    seen = np.arange(words.shape[1]) == 0  # the context was seen near c, the rest not
    v = W_in[centers]  # (B, d)
    scores = np.einsum("bd,bkd->bk", v, W_out[words])  # (B, 1 + K)
    # -ln σ(x) is ln(1 + exp(-x)), which logaddexp takes without overflow
    loss = np.logaddexp(0.0, np.where(seen, -scores, scores)).sum() / B
    S = _spread((expit(scores) - seen) / B, words, len(W_out))  # d loss / d scores
    dW_in = _spread(np.ones((B, 1)), centers[:, None], len(W_in)).T @ (S @ W_out)
    return float(loss), dW_in, S.T @ v


def _spread(values: np.ndarray, ids: np.ndarray, vocab_size: int) -> csr_matrix:
    """(B, V), with values[b, k] at (b, ids[b, k]).

    Times W it adds up rows of W for each b; its transpose times X adds the rows of X to
    the words they belong to, which np.add.at does too, but several times slower.
    """
    # task 4
    ends = np.arange(0, ids.size + 1, ids.shape[1])
    return csr_matrix((values.ravel(), ids.ravel(), ends), (len(ids), vocab_size))


# --- Task 5 (1 point): sampling and the training loop ----------------------------


def keep_probability(counts: np.ndarray, t: float = 1e-3) -> np.ndarray:
    """The probability with which each occurrence of a word stays in the training text.

    min(1, √(t / f)), where f is the word's share of all occurrences: frequent words say
    little about their company (Mikolov et al. 2013b, eq. 5). `counts` (V,) are 0 or
    more, not all 0; `t` is above 0. float64 (V,), with 1 for a word of count 0.
    """
    # task 5
    check_above_0(t=t)
    f = _shares(counts)
    return np.minimum(1.0, np.sqrt(t / np.where(f > 0, f, t)))


def noise_distribution(counts: np.ndarray, power: float = 0.75) -> np.ndarray:
    """The probability of each word as a negative: in proportion to count^power.

    Between power 1, where rare words are hardly ever drawn, and 0, where all words
    alike (Mikolov et al. 2013b). `counts` (V,) are 0 or more, not all 0; `power` is
    above 0. float64 (V,), of sum 1.
    """
    # task 5
    check_above_0(power=power)
    weights = _shares(counts) ** power
    return weights / weights.sum()


def _shares(counts: np.ndarray) -> np.ndarray:
    # task 5
    counts = np.asarray(counts, dtype=np.float64)
    if not counts.sum() > 0 or counts.min() < 0:
        raise ValueError("counts must be 0 or more, and one above 0")
    return counts / counts.sum()


def skipgram_pairs(
    sentences: Sequence[np.ndarray], windows: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Every (center, context) pair, where each place has a window of its own.

    Place i with window w is the center of a pair with each other place of its sentence
    from i - w to i + w. [[7, 8, 9]] with windows [[1, 1, 2]] gives centers
    7, 8, 8, 9, 9 and contexts 8, 7, 9, 7, 8.

    Args:
        sentences: int arrays.
        windows: for each sentence an int array of its length, 0 or more each;
            otherwise a ValueError that names `windows`.

    Returns:
        centers and contexts, int64 (P,): centers in the order of the text, the contexts
        of each from left to right.
    """
    # task 5
    words, sentence = flatten(sentences)
    reach, owner = flatten(windows)
    if not np.array_equal(owner, sentence) or reach.min(initial=0) < 0:
        raise ValueError("windows must be 0 or more, one for each word of `sentences`")
    widest = reach.max(initial=0)
    steps = np.concatenate([np.arange(-widest, 0), np.arange(1, widest + 1)])
    other = np.arange(len(words))[:, None] + steps  # (N, 2 · widest)
    there = (np.abs(steps) <= reach[:, None]) & (other >= 0) & (other < len(words))
    there &= sentence[other % max(len(words), 1)] == sentence[:, None]
    return words[there.nonzero()[0]], words[other[there]]


def train_sgns(
    sentences: Sequence[np.ndarray],
    counts: np.ndarray,
    dim: int,
    window: int,
    negatives: int,
    epochs: int,
    lr: float,
    batch: int,
    rng: np.random.Generator,
    W_in: np.ndarray | None = None,
    W_out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Train skip-gram vectors with negative sampling: word2vec, in batches.

    Each epoch draws a window for every place, uniformly from 1..window, and goes once
    through all `skipgram_pairs` in random order. Each pair gets `negatives` words from
    `noise_distribution(counts)`. A batch of B pairs moves W_in and W_out by -rate · B
    times their gradients: the sum, not the mean, of what its pairs ask for, so that one
    `lr` suits every batch size.

    Args:
        sentences: int arrays, with at least one pair (otherwise a ValueError that names
            them). Thinning them beforehand, by `keep_probability`, is up to the caller.
        counts: (V,), for the noise.
        dim, window, negatives, epochs: at least 1; `dim` is d of a random W_in.
        lr: above 0. The rate falls along a line: after a share x of the training it is
            lr · (1 - (1 - 1e-4) x). At a batch of epoch e = 0, 1, ..., before which n
            of that epoch's P pairs are done, x = (e + n / P) / epochs.
        batch: pairs in a batch, at least 1; the last of an epoch may be smaller.
        rng: for all that is drawn.
        W_in, W_out: (V, d), a start, which is not changed; one may be given alone. None
            draws W_in uniformly from ±0.5 / dim, and sets W_out to 0, as wide as W_in.

    Returns:
        W_in, float64 (V, d), and the loss of each batch before its step, float64.
    """
    # task 5
    check_at_least_1(dim=dim, window=window, negatives=negatives)
    check_at_least_1(epochs=epochs, batch=batch)
    check_above_0(lr=lr)
    check_ids(len(counts), sentences=flatten(sentences)[0])
    if max(map(len, sentences), default=0) < 2:
        raise ValueError("sentences must have a pair: one with two words")
    noise = np.cumsum(noise_distribution(counts))
    if W_in is None:
        W_in = rng.uniform(-0.5, 0.5, (len(counts), dim)) / dim
    if W_out is None:
        W_out = np.zeros_like(W_in)
    W_in, W_out = np.array(W_in, np.float64), np.array(W_out, np.float64)  # copies
    losses = []
    for epoch in range(epochs):
        windows = [rng.integers(1, window + 1, len(words)) for words in sentences]
        pairs, done = skipgram_pairs(sentences, windows), 0
        for centers, contexts in minibatches(*pairs, batch_size=batch, rng=rng):
            share = (epoch + done / len(pairs[0])) / epochs
            done += len(centers)
            # each draw falls into the piece of 0..1 that belongs to its word
            draws = rng.random((len(centers), negatives)) * noise[-1]
            words = np.column_stack([contexts, np.searchsorted(noise, draws, "right")])
            rate = lr * (1 - (1 - 1e-4) * share)
            losses.append(_step(W_in, W_out, centers, words, rate * len(centers)))
    return W_in, np.array(losses)


def _step(W_in, W_out, centers, words, rate: float) -> float:
    """One step in place; only the rows of the words in the batch are copied."""
    # task 5
    mine, c = np.unique(centers, return_inverse=True)
    others, o = np.unique(words, return_inverse=True)
    o = o.reshape(words.shape)
    loss, dW_in, dW_out = sgns_loss_and_grads(
        W_in[mine], W_out[others], c, o[:, 0], o[:, 1:]
    )
    W_in[mine] -= rate * dW_in
    W_out[others] -= rate * dW_out
    return loss


# --- Task 6 (2 points): neighbours, analogies, clusters --------------------------


def most_similar(
    E: np.ndarray, query: int | np.ndarray, k: int, exclude: Iterable[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The k words whose vectors point most nearly where the query does.

    Args:
        E: (V, d).
        query: an id, which is itself left out, or a vector (d,).
        k: from 1 to the number of words that are not left out.
        exclude: ids to leave out.

    Returns:
        ids, int64 (k,), the nearest first, of equally near ones the lower id first; and
        their cosines with the query, float64 (k,). A vector of length 0 has cosine 0.
    """
    # task 6
    out = set(exclude)
    check_ids(len(E), exclude=list(out))
    if np.ndim(query) == 0:
        check_ids(len(E), query=query)
        out.add(query)
        query = E[query]
    if not 1 <= k <= len(E) - len(out):
        raise ValueError(f"k must be in 1..{len(E) - len(out)}, got {k}")
    ids, scores = top_k([query], E, k + len(out), metric="cosine")  # (1, k + ...)
    kept = np.flatnonzero(~np.isin(ids[0], list(out)))[:k]
    return ids[0, kept], scores[0, kept]


def analogy(
    E: np.ndarray, a: int, b: int, c: int, k: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """a is to b as c is to ...: the k words nearest to b - a + c, a, b, c left out.

    All vectors are taken at length 1 (3CosAdd; Mikolov, Yih, Zweig 2013). Some of a, b,
    c may be equal. Returns ids and cosines with b - a + c as `most_similar`, with the
    same range of k.
    """
    # task 6
    check_ids(len(E), a=a, b=b, c=c)
    unit = normalize(E)
    return most_similar(unit, unit[b] - unit[a] + unit[c], k, exclude=(a, b, c))


def cluster(
    E: np.ndarray, k: int, rng: np.random.Generator, iters: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """Spherical k-means: groups of vectors that point the same way.

    All vectors are taken at length 1, as x. The first centroid is one of them, drawn
    uniformly; each further one is drawn in proportion to 1 - cos(x, nearest centroid so
    far), half the squared distance (k-means++, Arthur and Vassilvitskii 2007). A round
    gives each x to the centroid with the largest cosine, then makes each centroid the
    mean of its x, scaled to length 1: Σ cos(x, its centroid) never falls (Dhillon and
    Modha 2001).

    Args:
        E: (V, d), no row zero.
        k: from 1 to V.
        rng: for the start.
        iters: the most rounds, at least 1; it stops once a round changes no label,
            moves into empty clusters included.

    Returns:
        labels, int64 (V,), as the last round gave them out, and the centroids made from
        them, float64 (k, d), of length 1 (where their x add up to 0, any vector will
        do). A cluster that gets no x, lowest label first, takes the x with the smallest
        cosine to its own centroid, of those that are not alone in their cluster; so k
        may exceed the number of directions in E.
    """
    # task 6
    check_at_least_1(iters=iters)
    if not 1 <= k <= len(E):
        raise ValueError(f"k must be in 1..{len(E)}, got {k}")
    X = normalize(E)
    centroids, labels = _plus_plus(X, k, rng), np.full(len(X), -1)
    for _ in range(iters):
        before, cosines = labels, X @ centroids.T  # (V, k)
        labels = _refill(np.argmax(cosines, axis=1), np.max(cosines, axis=1), k)
        if np.array_equal(labels, before):
            break
        # the sum points where the mean does
        centroids = normalize(_spread(np.ones((len(X), 1)), labels[:, None], k).T @ X)
    return labels, centroids


def _plus_plus(X: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    # task 6
    chosen = [rng.integers(len(X))]
    far = np.full(len(X), np.inf)
    for _ in range(k - 1):
        far = np.minimum(far, np.maximum(1.0 - X @ X[chosen[-1]], 0.0))
        total = far.sum()  # 0 if there are fewer different vectors than k
        chosen.append(rng.choice(len(X), p=far / total if total > 0 else None))
    return X[chosen]


def _refill(labels: np.ndarray, cosines: np.ndarray, k: int) -> np.ndarray:
    # task 6
    for empty in np.flatnonzero(np.bincount(labels, minlength=k) == 0):
        alone = np.bincount(labels, minlength=k)[labels] == 1
        labels[np.argmin(np.where(alone, np.inf, cosines))] = empty
    return labels
