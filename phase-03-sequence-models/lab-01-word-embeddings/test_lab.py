"""The marking scheme of lab 3.1: what each task must do, and how we know.

Oracles: double loops over places and pairs (tasks 1 and 5), PMI cell by cell and mutual
information from entropies (2), numpy's dense SVD (3), the loss as a loop of Python
floats and its differences (4), a training loop on inputs that leave nothing to chance
(5), cosines one by one and planted groups (6). The instructor's suite compares with
torch's autograd, scikit-learn and real text; no training result is graded.
"""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import pairwise, permutations

import numpy as np
from scipy.sparse import csr_matrix

from common.grading import check, differences, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64


def ids(*sentences):
    """Lists of ids as the arrays that the lab works with."""
    return [np.array(words, dtype=np.int64) for words in sentences]


def drawn_sentences(rng, vocab_size, count):
    """Sentences of 0 to 9 words, some of them frequent; one is empty, one a word."""
    chances = 1 / np.arange(1, vocab_size + 1)
    sizes = [0, 1, 9, *rng.integers(0, 10, count)]
    return [rng.choice(vocab_size, n, p=chances / chances.sum()) for n in sizes]


def same_matrix(got, dense, *, tol=EXACT, name):
    """A csr_matrix of these values, which stores nothing but what is not 0."""
    dense = np.array(dense, dtype=np.float64)
    check.close(got, csr_matrix(dense), **tol, name=name)
    stored = int(np.count_nonzero(dense))
    check.equal(int(got.nnz), stored, name=f"{name}: how many entries are stored")


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_vocabulary_of_seven_words(lab):
    text = [["the", "cat", "saw", "the", "owl"], [], ["cat", "ran"]]
    got = lab.build_vocab(text)
    words = ["cat", "the", "owl", "ran", "saw"]
    check.equal(got, (words, np.array([2, 2, 1, 1, 1])), name="all words")
    got = lab.build_vocab(text, min_count=2)
    check.equal(got, (["cat", "the"], np.array([2, 2])), name="min_count=2")
    got = lab.build_vocab(text, max_size=3)
    check.equal(got, (words[:3], np.array([2, 2, 1])), name="max_size=3")
    got = lab.build_vocab([["b", "B"], ["a", "A"]])
    check.equal(got[0], ["A", "B", "a", "b"], name="capitals, as Python sorts them")


@task(1)
def test_counts_of_two_short_sentences(lab):
    got = lab.cooccurrence(ids([0, 1, 2], [1, 0]), 3, 2)
    same_matrix(got, [[0, 2, 1], [2, 0, 1], [1, 1, 0]], name="window 2")
    got = lab.cooccurrence(ids([0, 1, 2], [1, 0]), 3, 2, weighting="distance")
    same_matrix(got, [[0, 2, 0.5], [2, 0, 1], [0.5, 1, 0]], name="weights 1/d")
    got = lab.cooccurrence(ids([1, 1, 0]), 2, 1)
    same_matrix(got, [[0, 1], [1, 2]], name="a word beside itself")


@task(1)
def test_vocabulary_of_drawn_words(lab, rng):
    words = [a + b for a in "dbca" for b in "yxz"]
    for _ in range(5):
        chances = 1 / np.arange(1, 13) ** 2
        text = [
            [str(w) for w in rng.choice(words, n, p=chances / chances.sum())]
            for n in rng.integers(0, 12, 20)
        ]
        flat = [word for sentence in text for word in sentence]
        by_rank = sorted(sorted(set(flat)), key=flat.count, reverse=True)
        for low, size in ((1, None), (3, None), (2, 4), (1, 50)):
            expected = [word for word in by_rank if flat.count(word) >= low][:size]
            got = lab.build_vocab(iter(text), min_count=low, max_size=size)
            name = f"min_count={low}, max_size={size}"
            check.equal(got[0], expected, name=f"itos, {name}")
            counts = np.array([flat.count(word) for word in expected])
            check.equal(got[1], counts, name=f"counts, {name}")


def pair_loop(sentences, vocab_size, window, weight):
    """The counts, from every pair of places."""
    C = np.zeros((vocab_size, vocab_size))
    for words in sentences:
        for i, center in enumerate(words):
            for j, other in enumerate(words):
                if i != j and abs(i - j) <= window:
                    C[center, other] += weight(abs(i - j))
    return C


@task(1)
def test_counts_against_a_double_loop(lab, rng):
    for window in (1, 3, 20):
        sentences = drawn_sentences(rng, 7, 12)
        got = lab.cooccurrence(sentences, 7, window)
        expected = pair_loop(sentences, 7, window, lambda d: 1.0)
        same_matrix(got, expected, name=f"uniform, window {window}")
        got = lab.cooccurrence(sentences, 7, window, "distance")
        expected = pair_loop(sentences, 7, window, lambda d: 1 / d)
        same_matrix(got, expected, name=f"distance, window {window}")


@task(1)
def test_counts_of_two_texts_add_up(lab, rng):
    one, two = drawn_sentences(rng, 6, 5), drawn_sentences(rng, 6, 8)
    apart = [lab.cooccurrence(text, 6, 4).toarray() for text in (one, two)]
    got = lab.cooccurrence([*one, *two], 6, 4)
    check.close(got.toarray(), sum(apart), **EXACT, name="both texts")
    got = lab.cooccurrence([words[::-1].copy() for words in one], 6, 4)
    check.close(got.toarray(), apart[0], **EXACT, name="every sentence backwards")
    same_matrix(lab.cooccurrence([], 6, 4), np.zeros((6, 6)), name="no text")


@task(1)
def test_arguments_of_vocabulary_and_counts(lab):
    vocab, counts = lab.build_vocab, lab.cooccurrence
    check.equal(vocab([["a"]], 1, 1)[0], ["a"], name="the smallest of all")
    wrong = [
        (lambda: vocab([["a"]], min_count=0), "min_count"),
        (lambda: vocab([["a"]], max_size=0), "max_size"),
        (lambda: vocab([["a", "b"]], min_count=2), "sentences"),
        (lambda: counts(ids([0, 1]), 2, 0), "window"),
        (lambda: counts(ids([0, 1]), 2, 1, "linear"), "weighting"),
        (lambda: counts(ids([0, 2]), 2, 1), "sentences"),
        (lambda: counts(ids([0, -1]), 2, 1), "sentences"),
    ]
    for call, name in wrong:
        check.raises(ValueError, call, match=name)


# --- Task 2 ----------------------------------------------------------------------

SMALL = csr_matrix(np.array([[0.0, 2, 1], [2, 0, 1], [1, 1, 0]]))


@task(2)
def test_ppmi_of_three_words(lab):
    high, low = math.log(16 / 9), math.log(8 / 6)
    expected = [[0, high, low], [high, 0, low], [low, low, 0]]
    same_matrix(lab.ppmi(SMALL), expected, name="(2/8) / (3/8 · 3/8), ...")
    k = math.log(1.5)
    expected = [[0, high - k, 0], [high - k, 0, 0], [0, 0, 0]]
    same_matrix(lab.ppmi(SMALL, shift=1.5), expected, name="shift=1.5")


@task(2)
def test_smoothed_context_by_hand(lab):
    # columns sum to 4 and 16, their roots to 2 + 4: p(j) = 1/3 and 2/3
    C = csr_matrix(np.array([[4.0, 4.0], [0.0, 12.0]]))
    row = [math.log(0.5 / (1 / 3)), math.log(0.5 / (2 / 3))]
    expected = [row, [0, math.log(1 / (2 / 3))]]
    got = lab.ppmi(C, alpha=0.5, positive=False)
    same_matrix(got, expected, name="alpha=0.5, positive=False")


def pmi_loop(C, alpha, shift):
    """PMI cell by cell, as Python floats; 0 where C is 0."""
    D, M = sum(map(float, C.ravel())), np.zeros(C.shape)
    smooth = [math.fsum(column) ** alpha for column in C.T]
    for i, row in enumerate(C):
        for j, n in enumerate(row):
            if n > 0:
                expected = math.fsum(row) / D * smooth[j] / math.fsum(smooth)
                M[i, j] = math.log(n / D / expected) - math.log(shift)
    return M


@task(2)
def test_ppmi_against_the_formula(lab, rng):
    for alpha, shift in ((1.0, 1.0), (0.75, 1.0), (1.5, 5.0), (0.5, 0.5)):
        C = rng.uniform(0.5, 9, (6, 8)) * np.exp(rng.normal(0, 1, (6, 1)))
        C = C * (rng.random(C.shape) < 0.6) * np.exp(rng.normal(0, 1, 8))
        C[0, 0] += 1.0  # never all zero
        M = pmi_loop(C, alpha, shift)
        name = f"alpha={alpha}, shift={shift}"
        got = lab.ppmi(csr_matrix(C), alpha, shift, False)
        same_matrix(got, M, name=f"{name}, positive=False")
        got = lab.ppmi(csr_matrix(C), alpha, shift)
        same_matrix(got, np.maximum(M, 0), name=name)


@task(2)
def test_mean_pmi_is_the_mutual_information(lab, rng):
    C = rng.integers(0, 9, (5, 7)) + np.eye(5, 7, dtype=np.int64)  # of integers
    got = lab.ppmi(csr_matrix(C), positive=False).toarray()
    p = C / C.sum()

    def entropy(q):
        return -math.fsum(x * math.log(x) for x in q.ravel().tolist() if x > 0)

    information = entropy(p.sum(0)) + entropy(p.sum(1)) - entropy(p)
    check.close(
        float((p * got).sum()),
        information,
        **EXACT,
        name="Σ p(i, j) PMI, C of integers",
    )


@task(2)
def test_independent_words_have_no_information(lab, rng):
    C = np.outer(rng.integers(1, 9, 5), rng.integers(1, 9, 6)).astype(np.float64)
    got = lab.ppmi(csr_matrix(C), positive=False).toarray()
    check.close(got, np.zeros((5, 6)), atol=1e-12, name="counts of rank 1")


@task(2)
def test_stored_zeros_and_the_argument(lab):
    C = csr_matrix(np.array([[0.0, 3, 2], [2, 0, 1], [1, 1, 0]]))
    C.data[0] = 0.0  # (0, 1) is stored as 0: it was not seen
    held = C.copy()
    got = lab.ppmi(C, positive=False)
    expected = pmi_loop(held.toarray(), 1.0, 1.0)
    same_matrix(got, expected, name="a stored 0")
    lab.ppmi(C)  # where negative entries go
    for part in ("data", "indices", "indptr"):
        got, expected = getattr(C, part), getattr(held, part)
        check.equal(got, expected, name=f"C.{part}, after the call")


@task(2)
def test_arguments_of_ppmi(lab):
    check.equal(lab.ppmi(SMALL, 0.1, 0.1).shape, (3, 3), name="small alpha and shift")
    wrong = [
        (lambda: lab.ppmi(SMALL, alpha=0.0), "alpha"),
        (lambda: lab.ppmi(SMALL, shift=0.0), "shift"),
        (lambda: lab.ppmi(csr_matrix((3, 3))), "C"),
        (lambda: lab.ppmi(-SMALL), "C"),
        (lambda: lab.ppmi(csr_matrix(np.array([[5.0, -1], [1, 1]]))), "C"),
    ]
    for call, name in wrong:
        check.raises(ValueError, call, match=name)


# --- Task 3 ----------------------------------------------------------------------

ROUNDED = {"rtol": 1e-8, "atol": 1e-8}  # a sparse SVD is iterative


def known_svd(rng, rows, columns):
    """A matrix whose singular values are 9, 8, ..., with its left vectors."""
    n = min(rows, columns)
    U = np.linalg.qr(rng.standard_normal((rows, n)))[0]
    V = np.linalg.qr(rng.standard_normal((columns, n)))[0]
    s = np.linspace(9, 1, n)
    largest = np.argmax(np.abs(U), axis=0)
    U = U * np.sign(U[largest, np.arange(n)])
    return U, s, csr_matrix(U * s @ V.T)


@task(3)
def test_svd_of_a_diagonal_matrix(lab):
    M = csr_matrix(np.diag([-4.0, 1.0, 9.0]))
    # the singular values are 9, 4, 1; the vectors are axes
    got = lab.svd_embeddings(M, 2)
    check.close(got, np.array([[0, 2.0], [0, 0], [3.0, 0]]), **ROUNDED)
    got = lab.svd_embeddings(M, 1, power=1.0)
    check.close(got, np.array([[0], [0], [9.0]]), **ROUNDED, name="power=1")


@task(3)
def test_columns_of_a_known_svd(lab, rng):
    for rows, columns, dim in ((9, 14, 5), (13, 8, 7), (9, 9, 3)):
        U, s, M = known_svd(rng, rows, columns)
        for power in (0.5, 1.0, 0.0):
            got = lab.svd_embeddings(M, dim, power)
            expected = U[:, :dim] * s[:dim] ** power
            name = f"{rows} × {columns}, power={power}"
            check.close(
                got @ got.T, expected @ expected.T, **ROUNDED, name=f"E Eᵀ, {name}"
            )
            check.close(got, expected, rtol=1e-6, atol=1e-7, name=f"E, {name}")


@task(3)
def test_best_approximation_of_a_sparse_matrix(lab, rng):
    dense = rng.poisson(0.3, (40, 40)) * rng.uniform(1, 2, (40, 40))
    M = csr_matrix(dense + dense.T)
    U = lab.svd_embeddings(M, 6, power=0.0)
    check.close(U.T @ U, np.eye(6), **ROUNDED, name="UᵀU for power=0")
    left = float(np.linalg.norm(M - U @ (U.T @ M)) ** 2)
    s = np.linalg.svd(M.toarray(), compute_uv=False)
    check.close(left, float((s[6:] ** 2).sum()), **ROUNDED, name="what 6 columns miss")


@task(3)
def test_argument_dim(lab):
    M = csr_matrix(np.array([[3.0, 0, 1], [0, 2, 0]]))
    check.equal(lab.svd_embeddings(M, 1).shape, (2, 1), name="the largest dim of 2 × 3")
    for wrong, dim in ((M, 0), (M, 2), (csr_matrix(M.T), 2)):
        check.raises(
            ValueError, lambda A=wrong, d=dim: lab.svd_embeddings(A, d), match="dim"
        )


# --- Task 4 ----------------------------------------------------------------------


def softplus(x):
    """ln(1 + exp(x)), which is -ln σ(-x)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def loss_loop(W_in, W_out, centers, contexts, negatives):
    """The mean loss, pair by pair."""
    total = 0.0
    for c, o, others in zip(centers, contexts, negatives, strict=True):
        total += softplus(-math.fsum(W_in[c] * W_out[o]))
        total += math.fsum(softplus(math.fsum(W_in[c] * W_out[k])) for k in others)
    return total / len(centers)


@task(4)
def test_one_pair_by_hand(lab):
    W_in = np.array([[1.0, 0.0], [5.0, 5.0]])
    W_out = np.array([[0.0, 1.0], [1.0, 1.0]])
    got = lab.sgns_loss_and_grads(
        W_in, W_out, np.array([0]), np.array([0]), np.array([[1]])
    )
    # scores 0 and 1: σ(0) = 1/2, σ(1) = 0.7311; dv = -1/2 (0, 1) + 0.7311 (1, 1)
    s = 1 / (1 + math.exp(-1))
    called = "v = (1, 0), context (0, 1), one negative (1, 1)"
    check.close(
        got[0], math.log(2) - math.log(1 - s), **EXACT, name="loss", input=called
    )
    expected = np.array([[s, s - 0.5], [0.0, 0.0]])
    check.close(got[1], expected, **EXACT, name="dW_in", input=called)
    expected = np.array([[-0.5, 0.0], [s, 0.0]])
    check.close(got[2], expected, **EXACT, name="dW_out", input=called)


def drawn_batch(rng, vocab_size, size, negatives):
    """Words that come several times, and a negative that is the context."""
    centers = rng.integers(0, vocab_size, size)
    contexts = rng.integers(0, vocab_size, size)
    others = rng.integers(0, vocab_size, (size, negatives))
    centers[1], contexts[2], others[0, 0] = centers[0], contexts[3], contexts[0]
    others[1, 0] = others[1, 1] = others[2, 1]
    return centers, contexts, others


@task(4)
def test_loss_and_gradients_of_drawn_batches(lab, rng):
    for vocab_size, size, negatives, dim in ((5, 7, 3, 2), (3, 4, 2, 4)):
        W_in, W_out = rng.normal(0, 1.5, (2, vocab_size, dim))
        batch = drawn_batch(rng, vocab_size, size, negatives)
        loss, dW_in, dW_out = lab.sgns_loss_and_grads(W_in, W_out, *batch)
        name = f"{size} pairs, {negatives} negatives"
        check.close(loss, loss_loop(W_in, W_out, *batch), **EXACT, name=f"loss, {name}")
        near = {"rtol": 1e-6, "atol": 1e-8}  # differences err by about 1e-10
        expected = differences(lambda W, b=batch, U=W_out: loss_loop(W, U, *b), W_in)
        check.close(dW_in, expected, **near, name=f"dW_in, {name}")
        expected = differences(lambda W, b=batch, U=W_in: loss_loop(U, W, *b), W_out)
        check.close(dW_out, expected, **near, name=f"dW_out, {name}")


@task(4)
def test_a_batch_is_the_mean_of_its_pairs(lab, rng):
    W_in, W_out = rng.normal(0, 1, (2, 6, 3))
    centers, contexts, others = drawn_batch(rng, 6, 5, 2)
    whole = deepcopy(lab.sgns_loss_and_grads(W_in, W_out, centers, contexts, others))
    one = np.arange(1)
    single = [
        lab.sgns_loss_and_grads(
            W_in, W_out, centers[one + b], contexts[one + b], others[one + b]
        )
        for b in range(5)
    ]
    for part, name in enumerate(("loss", "dW_in", "dW_out")):
        expected = sum(result[part] for result in single) / 5
        check.close(whole[part], expected, **EXACT, name=name)


@task(4)
def test_scores_of_a_thousand(lab):
    W_in = np.array([[1000.0], [-1000.0], [2.0]])
    W_out = np.array([[1.0], [-1.0], [0.0]])
    batch = np.array([0, 1]), np.array([0, 0]), np.array([[1, 0], [1, 1]])
    # scores 1000, then -1000 and 1000; and -1000, then 1000 twice
    loss, dW_in, dW_out = lab.sgns_loss_and_grads(W_in, W_out, *batch)
    check.close(loss, (1000 + 3000) / 2, **EXACT, name="loss")
    expected = np.array([[0.5], [-1.5], [0.0]])
    check.close(dW_in, expected, **EXACT, name="dW_in")
    expected = np.array([[500 + 500.0], [-1000.0], [0.0]])
    check.close(dW_out, expected, **EXACT, name="dW_out")


@task(4)
def test_ids_outside_the_vocabulary(lab):
    W_in, W_out = np.ones((3, 2)), np.ones((3, 2))
    good = {"centers": [2], "contexts": [0], "negatives": [[1, 2]]}

    def call(name, bad):
        batch = {key: np.array(value) for key, value in good.items()}
        batch[name] = batch[name] * 0 + bad
        return lab.sgns_loss_and_grads(W_in, W_out, **batch)

    check.close(call("centers", 0)[0], softplus(-2) + 2 * softplus(2), **EXACT)
    for name in good:
        for bad in (3, -1):
            check.raises(ValueError, lambda n=name, b=bad: call(n, b), match=name)


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_shares_by_hand(lab):
    counts = np.array([0, 1, 16, 81])
    # powers 0, 1, 8, 27
    got = lab.noise_distribution(counts)
    check.close(got, np.array([0, 1, 8, 27]) / 36, **EXACT, name="noise, power 3/4")
    got = lab.noise_distribution(counts, power=0.5)
    check.close(got, np.array([0, 1, 4, 9]) / 14, **EXACT, name="noise, power 1/2")
    got = lab.keep_probability(np.array([0, 1, 4, 95]), t=0.01)
    expected = np.array([1, 1, 0.5, math.sqrt(1 / 95)])
    check.close(got, expected, **EXACT, name="kept, t=0.01")
    got = lab.keep_probability(np.array([999, 1]))
    check.close(got, np.array([math.sqrt(1 / 999), 1]), **EXACT, name="kept")
    got = lab.keep_probability(np.array([2, 3]), t=1.0)
    check.close(got, np.array([1.0, 1.0]), **EXACT, name="kept, t=1")


@task(5)
def test_pairs_of_three_words(lab):
    got = lab.skipgram_pairs(ids([7, 8, 9]), ids([1, 1, 2]))
    expected = (np.array([7, 8, 8, 9, 9]), np.array([8, 7, 9, 7, 8]))
    check.equal(got, expected)
    got = lab.skipgram_pairs(ids([3], [4, 4]), ids([5], [0, 2]))
    check.equal(got, (np.array([4]), np.array([4])), name="[3], [4, 4]")
    none = np.array([], dtype=np.int64)
    check.equal(lab.skipgram_pairs([], []), (none, none), name="no sentences")


@task(5)
def test_pairs_against_a_double_loop(lab, rng):
    for _ in range(3):
        sentences = drawn_sentences(rng, 8, 9)
        windows = [rng.integers(0, 5, len(words)) for words in sentences]
        got = lab.skipgram_pairs(sentences, windows)
        centers, contexts = [], []
        for words, reach in zip(sentences, windows, strict=True):
            for i, center in enumerate(words):
                for j, other in enumerate(words):
                    if 0 < abs(i - j) <= reach[i]:
                        centers.append(center)
                        contexts.append(other)
        check.equal(got[0], np.array(centers), name="centers")
        check.equal(got[1], np.array(contexts), name="contexts")


def train_loop(epochs, noise_word, K, lr, batch, W_in, W_out):
    """SGD on each epoch's pairs, in this order, where all negatives are one word."""
    W_in, W_out, losses = W_in.copy(), W_out.copy(), []
    steps = [
        (epoch, start, pairs)
        for epoch, pairs in enumerate(epochs)
        for start in range(0, len(pairs), batch)
    ]
    for epoch, start, pairs in steps:
        rate = lr * (1 - 0.9999 * (epoch + start / len(pairs)) / len(epochs))
        old_in, old_out, loss = W_in.copy(), W_out.copy(), []
        for c, o in pairs[start : start + batch]:
            for word, sign in ((o, 1), *[(noise_word, -1)] * K):
                score = math.fsum(old_in[c] * old_out[word])
                loss.append(softplus(-sign * score))
                pull = rate * sign / (1 + math.exp(sign * score))
                W_in[c] += pull * old_out[word]
                W_out[word] += pull * old_in[c]
        losses.append(math.fsum(loss) * (1 + K) / len(loss))
    return W_in, np.array(losses)


def against_train_loop(lab, rng, sentences, pairs, *, K, epochs, batch, noise_word=4):
    """Window 1, and noise of one word: nothing is left to chance but the order."""
    V, dim = 5, 3
    counts = np.zeros(V, dtype=np.int64)
    counts[noise_word] = 7
    W_in, W_out = rng.normal(0, 1, (2, V, dim))
    settings = {"negatives": K, "epochs": epochs, "batch": batch, "lr": 0.2}
    got = lab.train_sgns(
        sentences, counts, dim, window=1, rng=rng, W_in=W_in, W_out=W_out, **settings
    )
    expected = train_loop([pairs] * epochs, noise_word, K, 0.2, batch, W_in, W_out)
    called = f"train_sgns, {len(pairs)} pairs an epoch, one noise word, {settings}"
    tol = {"rtol": 1e-9, "atol": 1e-11}
    check.close(got[1], expected[1], **tol, name="losses", input=called)
    check.close(got[0], expected[0], **tol, name="W_in", input=called)


@task(5)
def test_three_epochs_of_one_batch(lab, rng):
    pairs = [(0, 1), (1, 0), (1, 2), (2, 1), (3, 0), (0, 3)]
    for batch in (6, 50):
        settings = {"K": 2, "epochs": 3, "batch": batch}
        against_train_loop(lab, rng, ids([0, 1, 2], [3, 0]), pairs, **settings)


@task(5)
def test_batches_of_equal_pairs(lab, rng):
    for batch in (4, 3):  # 4 + 4 and 3 + 3 + 2 pairs
        for noise_word in (4, 1):  # 1: the negative is the context, and the center
            settings = {"K": 1, "epochs": 2, "batch": batch, "noise_word": noise_word}
            against_train_loop(lab, rng, ids([1] * 5), [(1, 1)] * 8, **settings)


@task(5)
def test_rate_where_epochs_differ_in_length(lab, rng):
    """All pairs are alike; windows decide only how many of them each epoch has."""
    text, noise = ids([1] * 7), np.array([0, 0, 1])
    settings = {"window": 3, "negatives": 1, "epochs": 2, "batch": 1, "lr": 0.2}
    for _ in range(3):
        W_in, W_out = rng.normal(0, 1, (2, 3, 2))
        _, losses = lab.train_sgns(
            text, noise, 2, rng=rng, W_in=W_in, W_out=W_out, **settings
        )
        total = len(losses)
        check.that(24 <= total <= 60, "12 to 30 losses an epoch", total)
        possible = [
            train_loop([[(1, 1)] * n for n in split], 2, 1, 0.2, 1, W_in, W_out)[1]
            for split in ((n, total - n) for n in range(12, total - 11))
        ]
        nearest = min(possible, key=lambda way: float(np.abs(way - losses).sum()))
        called = f"train_sgns on 7 times word 1, one noise word, {settings}"
        name = "losses, x = (e + n / P) / epochs with each epoch's own P"
        check.close(losses, nearest, rtol=1e-9, atol=1e-11, name=name, input=called)


@task(5)
def test_start_of_training(lab, rng):
    counts = np.array([40, 1, 20, 9, 5] * 30)
    sentences = drawn_sentences(rng, 150, 10)
    W, losses = lab.train_sgns(sentences, counts, 20, 2, 3, 1, 1e-12, 10**6, rng)
    check.equal((W.dtype.name, W.shape), ("float64", (150, 20)), name="W_in")
    check.close(losses, np.array([4 * math.log(2)]), rtol=1e-9, name="first loss")
    inside = bool((np.abs(W) <= 0.5 / 20 + 1e-9).all())
    check.that(inside, "W_in within ±0.5 / 20 at the start", W)
    # a uniform number has the standard deviation 1/√12; of 3,000 it is near that
    spread = round(float(W.std()) * 20 * math.sqrt(12), 1)
    check.equal(spread, 1.0, name="spread of W_in, times dim · √12")


@task(5)
def test_one_matrix_of_the_start_is_given(lab, rng):
    settings = {"window": 1, "negatives": 2, "epochs": 1, "lr": 1e-12, "batch": 99}
    counts, text = np.array([1, 1, 1, 1, 1]), ids([0, 1, 2, 3, 4])
    start = rng.normal(0, 1, (5, 3))
    W, losses = lab.train_sgns(text, counts, 7, rng=rng, W_in=start, **settings)
    check.close(W, start, rtol=0, atol=1e-9, name="W_in, given alone")
    check.close(losses, np.array([3 * math.log(2)]), rtol=1e-9, name="W_out of zeros")
    # all u · v of a center are large and equal: a context and a negative cost |u · v|
    wide = np.full((5, 7), 1e4)
    W, losses = lab.train_sgns(text, counts, 7, rng=rng, W_out=wide, **settings)
    check.equal(np.shape(W), (5, 7), name="shape of W_in, W_out given alone")
    high = float(losses[0]) > 9
    check.that(high, "a first loss far above 3 ln 2 = 2.08", losses, name="W_out alone")


def tiny_steps(lab, rng, sentences, counts, scores, **settings):
    """Losses of training that moves nothing; scores[o, c] are those of the pairs."""
    W_in = np.eye(len(scores))
    dim = len(scores)
    return lab.train_sgns(
        sentences, counts, dim, lr=1e-12, rng=rng, W_in=W_in, W_out=scores, **settings
    )[1]


def losses_of_windows(lab, rng, words, epochs):
    """Of each epoch, for a window of 3, where a pair 3 places apart costs 20."""
    scores = np.zeros((9, 9))
    for word in range(8):  # all other pairs cost nothing
        scores[:8, word] = 40.0
        scores[(word + 3) % 8, word] = scores[(word - 3) % 8, word] = -20.0
    counts = np.array([0] * 8 + [1])  # noise costs ln 2
    settings = {"window": 3, "negatives": 1, "epochs": epochs, "batch": 10**6}
    text = ids(np.arange(words) % 8)
    losses = tiny_steps(lab, rng, text, counts, scores, **settings)
    return [round(float(loss), 6) for loss in losses]  # whatever the order of adding


def negatives_of_word_0(lab, rng, words, counts, negatives, batch):
    """How many each pair has, the mean of each batch."""
    scores = np.zeros((3, 3))
    scores[:, 2] = [20.0, -20.0, 20.0]  # as a negative, word 0 costs 20
    settings = {"window": 1, "negatives": negatives, "epochs": 1, "batch": batch}
    return tiny_steps(lab, rng, ids([2] * words), counts, scores, **settings) / 20


def counts_of_negatives(lab, rng):
    """How many of each pair's 3 negatives are word 0, half of the noise; 200 pairs."""
    found = negatives_of_word_0(lab, rng, 101, np.array([1, 1, 0]), 3, 1)
    return [round(float(count)) for count in found]


def order_of_pairs(lab, rng):
    """Two epochs of 100 pairs: 1 for a pair of word 2, 0 for one of word 1."""
    scores = np.diag([0.0, 20.0, -20.0])  # pairs of word 2 cost 20
    settings = {"window": 1, "negatives": 1, "epochs": 2, "batch": 1}
    text = ids([1] * 26, [2] * 26)
    losses = tiny_steps(lab, rng, text, np.array([3, 0, 0]), scores, **settings)
    return [round((float(loss) - math.log(2)) / 20) for loss in losses]


def random_start(lab, rng):
    """W_in, as it was drawn."""
    return lab.train_sgns(ids([0, 1]), np.ones(2), 3, 1, 1, 1, 1e-12, 9, rng)[0]


@task(5)
def test_rng_decides_all_that_is_drawn(lab):
    for name, outcome in {
        "windows (losses of 6 epochs)": lambda r: losses_of_windows(lab, r, 240, 6),
        "negatives (how many are word 0)": lambda r: counts_of_negatives(lab, r),
        "order (which word's pair)": lambda r: order_of_pairs(lab, r),
        "start (W_in)": lambda r: random_start(lab, r),
    }.items():
        first, again, other = (outcome(np.random.default_rng(s)) for s in (1, 1, 2))
        check.equal(again, first, name=f"{name}, the same rng")
        same = bool(np.array_equal(other, first))
        check.equal(same, False, name=f"{name}, another rng gives the same")


@task(5)
def test_each_epoch_and_each_negative_is_drawn_anew(lab, rng):
    losses = losses_of_windows(lab, rng, 240, 6)
    same = len(set(losses)) == 1
    check.equal(same, False, name="all of 6 epochs have the same windows")
    found = order_of_pairs(lab, rng)
    same = found[:100] == found[100:]
    check.equal(same, False, name="both epochs have the same order")
    # three draws, each with chance 1/2: all of 0 to 3 occur among 200 pairs
    found = sorted(set(counts_of_negatives(lab, rng)))
    check.equal(found, [0, 1, 2, 3], name="how many of 3 negatives are word 0")


@task(5)
def test_windows_are_drawn_for_each_place(lab, rng):
    losses = losses_of_windows(lab, rng, 2400, 1)
    share = (losses[0] - math.log(2)) / 20
    # of three equally likely windows one reaches 3 places: 2 of 2 + 4 + 6 pairs
    called = "train_sgns with window 3 on 2,400 words"
    name = "24ths of all pairs that are 3 places apart"
    check.equal(round(24 * share), 4, name=name, input=called)


@task(5)
def test_negatives_come_from_the_noise(lab, rng):
    found = negatives_of_word_0(lab, rng, 1001, np.array([1, 16, 0]), 5, 500)
    shares = found / 5  # of word 0, expected 1/9
    called = "train_sgns with counts 1, 16, 0"
    name = "eighteenths of all negatives that are word 0"
    check.equal(round(18 * float(shares.mean())), 2, name=name, input=called)
    # 0.006 is a standard deviation; five words for a whole batch give 0, 1/5, ...
    each = bool((np.abs(shares - 1 / 9) < 0.08).all())
    must = "about 1/9 of each batch's negatives are word 0: every pair draws its own"
    check.that(each, must, shares, input=called)


@task(5)
def test_pairs_come_in_random_order(lab, rng):
    scores = np.diag([0.0, 20.0, -20.0])  # pairs of word 2 cost 20
    settings = {"window": 1, "negatives": 1, "epochs": 1, "batch": 1000}
    losses = tiny_steps(
        lab, rng, ids([1] * 501, [2] * 501), np.array([3, 0, 0]), scores, **settings
    )
    halves = [round((float(loss) - math.log(2)) / 10) for loss in losses]
    called = "train_sgns on 501 times word 1, then 501 times word 2"
    name = "halves of each batch that are word 2"
    check.equal(halves, [1, 1], name=name, input=called)


@task(5)
def test_arguments_of_sampling_and_training(lab, rng):
    counts = np.array([3, 1])
    good = {"dim": 2, "window": 1, "negatives": 1, "epochs": 1, "lr": 0.1, "batch": 1}

    def train(sentences, **changed):
        settings = {**good, **changed}
        return lab.train_sgns(sentences, counts, rng=rng, **settings)

    check.equal(train(ids([0, 1], []))[0].shape, (2, 2), name="good arguments")
    wrong = [(lambda n=n: train(ids([0, 1]), **{n: 0}), n) for n in good]
    wrong += [
        (lambda: train(ids([0], [1], [])), "sentences"),
        (lambda: train(ids([0, 2])), "sentences"),
        (lambda: lab.keep_probability(counts, t=0.0), "t"),
        (lambda: lab.keep_probability(np.array([1, -1, 4])), "counts"),
        (lambda: lab.noise_distribution(np.array([0, 0])), "counts"),
        (lambda: lab.noise_distribution(counts, power=0.0), "power"),
        (lambda: lab.skipgram_pairs(ids([0, 1]), ids([1])), "windows"),
        (lambda: lab.skipgram_pairs(ids([0, 1]), ids([1, -1])), "windows"),
        (lambda: lab.skipgram_pairs(ids([0, 1], [0]), ids([1], [1, 1])), "windows"),
    ]
    for call, name in wrong:
        check.raises(ValueError, call, match=name)


# --- Task 6 ----------------------------------------------------------------------


def unit(x):
    return np.asarray(x, dtype=np.float64) / math.sqrt(math.fsum(np.square(x).tolist()))


def nearest(E, query, k, left_out):
    """(ids, cosines) from a full sort."""
    cosines = {
        i: math.fsum((unit(row) * unit(query)).tolist())
        for i, row in enumerate(E)
        if i not in left_out
    }
    best = sorted(cosines, key=lambda i: (-cosines[i], i))[:k]
    return np.array(best), np.array([cosines[i] for i in best])


@task(6)
def test_neighbours_of_five_words(lab):
    E = np.array([[1.0, 0.0], [4.0, 4.0], [0.4, 0.3], [0.0, 2.0], [-5.0, 0.0]])
    got = lab.most_similar(E, 0, 3)
    # cosines 0.7071, 0.8, 0, -1; dot products 4, 0.4, 0, -5
    expected = (np.array([2, 1, 3]), np.array([0.8, math.sqrt(0.5), 0.0]))
    check.close(got, expected, **EXACT, name="of word 0")
    got = lab.most_similar(E, np.array([2.0, 0.0]), 2, exclude=[2])
    expected = (np.array([0, 1]), np.array([1.0, math.sqrt(0.5)]))
    check.close(got, expected, **EXACT, name="of a vector, without word 2")
    E = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [4.0, 4.0], [0.0, 0.0]])
    got = lab.most_similar(E, 2, 4)
    root = math.sqrt(0.5)
    expected = (np.array([1, 3, 0, 4]), np.array([root, root, 0.0, 0.0]))
    check.close(got, expected, **EXACT, name="equal ones, and a vector of length 0")
    expected = (np.array([0, 1]), np.zeros(2))
    got = lab.most_similar(E, 4, 2)
    check.close(got, expected, **EXACT, name="of a word of length 0")
    expected = (np.arange(3, 23, 2), np.ones(10))
    got = lab.most_similar(np.tile(np.eye(2), (20, 1)), 1, 10)
    check.close(got, expected, **EXACT, name="10 of 19 equal ones")


@task(6)
def test_king_minus_man_plus_woman(lab):
    words = ["man", "king", "woman", "throne", "queen"]
    E = np.array([[2.0, 0, 0], [3, 0, 3], [0, 1, 0], [0, 0, 1], [0, 0.5, 0.5]])
    # at length 1, king - man + woman = (√½ - 1, 1, √½)
    h = math.sqrt(0.5)
    length = math.sqrt((h - 1) ** 2 + 1 + h**2)
    scores = np.array([(h + h**2) / length, h / length])
    expected = np.array([words.index("queen"), words.index("throne")])
    got = lab.analogy(E, 0, 1, 2, 2)
    check.close(got, (expected, scores), **EXACT, name="man : king = woman : ...")


@task(6)
def test_neighbours_against_a_full_sort(lab, rng):
    E = rng.normal(0, 1, (23, 4)) * np.exp(rng.normal(0, 1.5, (23, 1)))
    asked = ((3, ()), (0, (22, 5, 0)), (np.int64(7), [1]), (rng.normal(size=4), {1, 2}))
    for query, exclude in asked:
        left_out = {*exclude, *([query] if np.ndim(query) == 0 else [])}
        for k, kind in ((1, list), (6, set), (23 - len(left_out), iter)):
            given = kind(exclude)
            got = lab.most_similar(E, query, k, exclude=given)
            if kind is set:
                check.equal(given, set(exclude), name="exclude, after the call")
            vector = E[query] if np.ndim(query) == 0 else query
            check.close(got, nearest(E, vector, k, left_out), **EXACT, name=f"k={k}")
    for k in (1, 5):
        a, b, c = (int(word) for word in rng.choice(23, 3, replace=False))
        got = lab.analogy(E, a, b, c, k)
        target = unit(E[b]) - unit(E[a]) + unit(E[c])
        expected = nearest(E, target, k, {a, b, c})
        check.close(
            got, expected, **EXACT, name=f"analogy {a} : {b} = {c} : ..., k={k}"
        )


@task(6)
def test_analogy_of_equal_words(lab, rng):
    E = rng.normal(0, 1, (9, 3))
    for a, b, c in ((2, 2, 5), (5, 2, 5), (4, 4, 4)):
        left_out = {a, b, c}
        k = 9 - len(left_out)
        got = lab.analogy(E, a, b, c, k)
        target = unit(E[b]) - unit(E[a]) + unit(E[c])
        expected = nearest(E, target, k, left_out)
        check.close(got, expected, **EXACT, name=f"analogy {a} : {b} = {c} : ...")


@task(6)
def test_every_planted_analogy_is_solved(lab, rng):
    axes = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    things, qualities = axes[:4], axes[4:7]
    words = [(i, j) for i in range(4) for j in range(3)]
    E = np.array([things[i] + qualities[j] for i, j in words])
    E = np.concatenate([E, rng.standard_normal((20, 12))])  # other words
    E *= np.exp(rng.normal(0, 1, (len(E), 1)))
    asked = [
        (words.index((i, p)), words.index((i, q)), words.index((j, p)), (j, q))
        for i, j in permutations(range(4), 2)
        for p, q in permutations(range(3), 2)
    ]
    got = [lab.analogy(E, a, b, c)[0].tolist() for a, b, c, _ in asked]
    expected = [[words.index(answer)] for *_, answer in asked]
    check.equal(got, expected, name="72 analogies of 4 things and 3 qualities")


def objective(E, labels, centroids):
    """The sum of the cosines of all vectors with their centroids."""
    return math.fsum(
        math.fsum((unit(x) * centroids[label]).tolist())
        for x, label in zip(E, labels, strict=True)
    )


@task(6)
def test_one_cluster_and_as_many_as_words(lab, rng):
    E = np.array([[3.0, 0.0], [0.0, 0.5], [7.0, 0.0]])
    got = lab.cluster(E, 1, rng)
    center = np.array([[2.0, 1.0]]) / math.sqrt(5)  # (1, 0) + (0, 1) + (1, 0)
    check.close(got, (np.array([0, 0, 0]), center), **EXACT, name="k=1")
    labels, centroids = lab.cluster(E[:2], 2, rng)
    check.equal(sorted(labels.tolist()), [0, 1], name="labels, k=2 of 2 words")
    expected = np.array([[1.0, 0.0], [0.0, 1.0]])
    check.close(centroids[labels], expected, **EXACT, name="k=2 of 2 words")


@task(6)
def test_planted_clusters_are_found(lab, rng):
    for k, iters in ((5, 1), (6, 1), (7, 50)):  # no start shares a group with another
        axes = np.linalg.qr(rng.standard_normal((8, 8)))[0][:k]
        group = rng.permutation(np.repeat(np.arange(k), rng.integers(3, 9, k)))
        E = axes[group] + rng.normal(0, 1e-6, (len(group), 8))
        E *= np.exp(rng.normal(0, 2, (len(E), 1)))
        labels, _ = lab.cluster(E, k, rng, iters)
        check.equal((labels.dtype.name, labels.shape), ("int64", group.shape))
        # up to their names: numbered in the order in which they come
        first = [
            np.unique(x, return_index=True, return_inverse=True)
            for x in (labels, group)
        ]
        got, expected = ([int(at[i]) for i in x] for _, at, x in first)
        check.equal(
            got,
            expected,
            name=f"{k} groups: the first word like each",
            input=f"iters={iters}",
        )


@task(6)
def test_clusters_at_rest(lab, rng):
    E = rng.standard_normal((300, 3)) * np.exp(rng.normal(0, 1, (300, 1))) + 0.5
    labels, centroids = lab.cluster(E, 6, rng, iters=500)
    check.equal((centroids.dtype.name, centroids.shape), ("float64", (6, 3)))
    X = np.array([unit(row) for row in E])
    cosines = X @ centroids.T
    own = cosines[np.arange(300), labels]
    check.close(own, cosines.max(axis=1), **EXACT, name="cosine with the own centroid")
    means = [unit(X[labels == j].sum(axis=0)) for j in range(6)]
    check.close(centroids, np.array(means), **EXACT, name="the means, at length 1")


@task(6)
def test_one_round(lab, rng):
    for _ in range(3):
        X = np.array([unit(row) for row in rng.standard_normal((40, 8))])
        labels, centroids = lab.cluster(X, 2, rng, iters=1)
        means = [unit(X[labels == j].sum(axis=0)) for j in range(2)]
        called = "cluster(E, 2, rng, iters=1)"
        name = "the means of the words with these labels"
        check.close(centroids, np.array(means), **EXACT, name=name, input=called)
        cosines = X @ X.T
        nearer = cosines[:, :, None] > cosines[:, None, :]  # x nearer to i than to j
        found = bool((nearer == (labels == 0)[:, None, None]).all(axis=0).any())
        must = "each word in the cluster of the nearer of two words, the starts"
        check.that(found, must, labels, input=called)


@task(6)
def test_no_round_makes_the_clusters_worse(lab, rng):
    E = rng.standard_normal((50, 4)) * np.exp(rng.normal(0, 1, (50, 1))) + 0.3
    seed = int(rng.integers(1000))
    sums = [
        objective(E, *lab.cluster(E, 5, np.random.default_rng(seed), iters=n))
        for n in range(1, 8)
    ]
    falls = [b - a for a, b in pairwise(sums)]
    holds = min(falls) >= -1e-9
    check.that(holds, "the sum of cosines after 1, 2, ... rounds never falls", sums)


@task(6)
def test_rounds_and_rng_of_the_clusters(lab, rng):
    E = rng.standard_normal((60, 3))
    first, again, other = (
        lab.cluster(E, 6, np.random.default_rng(seed), iters=1) for seed in (1, 1, 2)
    )
    check.equal(again, first, name="the same rng, one round")
    same = bool(np.array_equal(other[1], first[1]))
    check.equal(same, False, name="another rng gives the same, one round")
    sums = [
        [objective(E, *lab.cluster(E, 6, np.random.default_rng(s), n)) for n in (1, 50)]
        for s in range(4)
    ]
    gain = max(after - before for before, after in sums)
    check.that(gain > 1e-6, "more rounds find better clusters", sums)


@task(6)
def test_starts_are_drawn_in_proportion_to_the_distance(lab, rng):
    """40 words at 0°, 40 where the cosine with these is 0.9, and 2 opposite to both.

    The first start is one of the 80 as good as always. Then the second is one of the 2
    with chance 2 · 1.975 / (2 · 1.975 + 40 · 0.1) = 1/2, and they are a cluster of
    their own after one round; otherwise they are not. 0.04 is a standard deviation.
    """
    angles = np.array([0.0, math.acos(0.9), math.acos(0.9) / 2 + math.pi])
    axes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    group = np.repeat([2, 0, 1, 2], [1, 40, 40, 1])
    alone = 0
    for _ in range(150):
        labels, _ = lab.cluster(axes[group], 2, rng, iters=1)
        alone += len(set(labels[group == 2].tolist()) - set(labels[group < 2])) == 1
    name = "share of 150 starts in which the far ones are a cluster"
    check.that(0.27 < alone / 150 < 0.75, "about 0.51", alone / 150, name=name)


@task(6)
def test_more_clusters_than_directions(lab, rng):
    E = np.repeat(np.eye(3), 2, axis=0) * np.array([[1.0, 2, 3, 4, 5, 6]]).T
    labels, centroids = lab.cluster(E, 5, rng)
    check.equal(sorted(set(labels.tolist())), [0, 1, 2, 3, 4], name="clusters in use")
    own = (centroids[labels] * np.repeat(np.eye(3), 2, axis=0)).sum(axis=1)
    check.close(own, np.ones(6), **EXACT, name="cosine with the own centroid")


@task(6)
def test_arguments_of_the_last_task(lab, rng):
    E = rng.standard_normal((4, 3))
    near, solve, group = lab.most_similar, lab.analogy, lab.cluster
    check.equal(len(near(E, 0, 3)[0]), 3, name="all but the query")
    wrong = [
        (lambda: near(E, 0, 4), "k"),
        (lambda: near(E, 0, 3, exclude=[2]), "k"),
        (lambda: near(E, 0, 0), "k"),
        (lambda: near(E, 4, 1), "query"),
        (lambda: near(E, -1, 1), "query"),
        (lambda: near(E, 0, 1, exclude=[4]), "exclude"),
        (lambda: solve(E, 0, 1, 2, 2), "k"),
        (lambda: solve(E, 4, 1, 2), "a"),
        (lambda: solve(E, 0, -1, 2), "b"),
        (lambda: solve(E, 0, 1, 4), "c"),
        (lambda: group(E, 5, rng), "k"),
        (lambda: group(E, 0, rng), "k"),
        (lambda: group(E, 2, rng, iters=0), "iters"),
    ]
    for call, name in wrong:
        check.raises(ValueError, call, match=name)
