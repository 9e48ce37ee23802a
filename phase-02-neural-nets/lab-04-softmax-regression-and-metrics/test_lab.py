"""The marking scheme of lab 2.4: what each task must do, and how we know.

Oracles: scipy.special, sums without rounding, finite differences, numbers from torch,
examples repeated as often as their weight says, the condition that holds at a minimum,
exact fractions, and a dictionary of bins. Properties explain. How well a model
predicts is never graded, nor is speed.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from common.grading import check, differences, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64
BY_DIFFERENCES = {"rtol": 1e-6, "atol": 1e-9}  # central differences, h = 1e-5
few = settings(max_examples=25)

LN2, LN3 = math.log(2), math.log(3)

# torch 2.13.0, float64: Z = torch.tensor(LOGITS, requires_grad=True), then
# loss = torch.nn.functional.cross_entropy(Z, torch.tensor(TARGETS), weight);
# loss.backward(). The row is the first of Z.grad. Ten digits.
LOGITS = [
    [1.5, -0.25, 0.0, 2.0],
    [-3.0, 0.5, 4.0, 0.125],
    [0.0, 0.0, 1.0, -1.0],
    [2.5, 2.5, -2.0, 0.75],
    [-1.0, 6.0, 0.25, 3.0],
]
TARGETS = [3, 1, 2, 0, 1]
TORCH = 1.124967114154, [0.06566795827, 0.01141138007, 0.01465250205, -0.09173184039]
WEIGHTS = [0.5, 2.0, 1.0, 4.0]
WEIGHTED = 1.124022831834, [0.1382483332, 0.02402395804, 0.03084737273, -0.1931196640]
TEN_DIGITS = {"rtol": 1e-9, "atol": 1e-12}


def batch(rng, N, K, spread=3.0):
    """Scores (N, K) and classes (N,), every class at least once where N >= K."""
    targets = rng.permutation(np.arange(N) % K)
    return rng.normal(0, spread, size=(N, K)), targets


def losses_by_scipy(logits, targets):
    """The loss of each example."""
    rows = np.arange(len(targets))
    return -special.log_softmax(np.asarray(logits), axis=1)[rows, targets]


def refused(name, call):
    """A ValueError that names the argument."""
    check.raises(ValueError, call, match=name)


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_loss_of_two_examples(lab):
    # exp sums to 1 + 3 + 4 = 8, the target has 1; to 2 + 6 + 1 = 9, the target has 6
    logits = np.array([[0.0, LN3, math.log(4)], [LN2, math.log(6), 0.0]])
    expected = (math.log(8) + math.log(1.5)) / 2
    check.close(lab.cross_entropy(logits, np.array([0, 1])), expected, **EXACT)


@task(1)
def test_rows_that_are_far_apart(lab):
    logits = np.array([[0.0, 10_000.0], [-10_000.0, -10_000.0], [5_000.0, 0.0]])
    got = lab.cross_entropy(logits, np.array([0, 1, 0]))
    check.close(got, (10_000 + LN2 + 0) / 3, **EXACT)


@task(1)
def test_drawn_batches_against_scipy(lab, rng):
    for N, K in [(7, 4), (4, 9), (5, 5), (300, 10), (2, 3)]:
        logits, targets = batch(rng, N, K)
        got = lab.cross_entropy(logits, targets)
        expected = math.fsum(losses_by_scipy(logits, targets)) / N
        check.close(got, expected, **EXACT)
    got = lab.cross_entropy(LOGITS, TARGETS)
    check.close(got, TORCH[0], **TEN_DIGITS, name="what torch gives")


@task(1)
@few
@given(st.integers(2, 12), st.lists(st.integers(-40, 40), min_size=3, max_size=3))
def test_equal_logits_cost_the_log_of_their_number(lab, K, shifts):
    # what training starts from; eighths are exact, so a row stays equal when shifted
    logits = np.zeros((3, K)) + np.array(shifts)[:, None] / 8
    check.close(lab.cross_entropy(logits, [0, K - 1, 1]), math.log(K), **EXACT)


@task(1)
def test_input_of_the_loss(lab):
    good = [[0, 0, 0], [0, 0, 0]]
    check.close(lab.cross_entropy(good, [2, 0]), LN3, name="lists of integers")
    refused("logits", lambda: lab.cross_entropy([0.0, 1.0], [1]))
    check.raises(TypeError, lambda: lab.cross_entropy(good, [0.0, 1]), match="targets")
    for bad in ([0], [0, 3], [0, -1], [[0, 1]]):
        refused("targets", lambda bad=bad: lab.cross_entropy(good, bad))


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_gradient_of_two_examples(lab):
    # probabilities 1/8, 3/8, 4/8 and 2/9, 6/9, 1/9; less 1 at the target; divided by 2
    logits = np.array([[0.0, LN3, math.log(4)], [LN2, math.log(6), 0.0]])
    got = lab.cross_entropy_gradient(logits, np.array([0, 1]))
    expected = np.array([[-7 / 16, 3 / 16, 4 / 16], [2 / 18, -3 / 18, 1 / 18]])
    check.close(got, expected, **EXACT)


@task(2)
def test_gradient_against_differences(lab, rng):
    logits, targets = batch(rng, 6, 4, spread=1.5)
    got = lab.cross_entropy_gradient(logits, targets)
    mean = differences(lambda z: losses_by_scipy(z, targets).mean(), logits)
    check.close(got, mean, **BY_DIFFERENCES)


@task(2)
def test_gradient_against_scipy(lab, rng):
    for N, K in [(7, 4), (4, 9), (5, 5), (300, 10)]:
        logits, targets = batch(rng, N, K)
        got = lab.cross_entropy_gradient(logits, targets)
        onehot = np.eye(K)[targets]
        expected = (special.softmax(logits, axis=1) - onehot) / N
        check.close(got, expected, **EXACT)
        check.close(got.sum(axis=1), np.zeros(N), **EXACT, name="row sums")


@task(2)
def test_gradient_of_large_logits(lab):
    logits = np.array([[0.0, 10_000.0], [-10_000.0, -10_000.0], [5_000.0, 0.0]])
    got = lab.cross_entropy_gradient(logits, np.array([0, 1, 0]))
    expected = np.array([[-1.0, 1.0], [0.5, -0.5], [0.0, 0.0]]) / 3
    check.close(got, expected, **EXACT)


@task(2)
def test_input_of_the_gradient(lab):
    gradient = lab.cross_entropy_gradient
    check.close(gradient([[0, 0]], [1]), np.array([[0.5, -0.5]]), name="lists")
    refused("logits", lambda: gradient([0.0, 1.0], [1]))
    refused("targets", lambda: gradient([[0.0, 1.0]], [2]))


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_weights_of_five_labels(lab):
    got = lab.balanced_class_weights(np.array([2, 0, 2, 1, 2, 2, 0, 2]), 3)
    check.close(got, np.array([8 / 6, 8 / 3, 8 / 15]), **EXACT)


@task(3)
def test_loss_of_three_weighted_examples(lab):
    # probabilities 1/4, 3/4 in each row; class 0 counts 1, class 1 counts 4
    logits = np.array([[0.0, LN3], [0.0, LN3], [LN3, 0.0]])
    loss, gradient = lab.softmax_cross_entropy(logits, [0, 1, 0], class_weight=[1, 4])
    expected = (math.log(4) + 4 * math.log(4 / 3) + math.log(4 / 3)) / 6
    check.close(loss, expected, **EXACT, name="loss")
    rows = np.array([[-3.0, 3.0], [4.0, -4.0], [-1.0, 1.0]]) / 24
    check.close(gradient, rows, **EXACT, name="gradient")


@task(3)
def test_a_weight_is_a_number_of_copies(lab, rng):
    logits, targets = batch(rng, 9, 4)
    weights = np.array([3, 1, 2, 5])
    copies = np.repeat(np.arange(9), weights[targets])
    loss, gradient = lab.softmax_cross_entropy(logits, targets, class_weight=weights)
    expected = math.fsum(losses_by_scipy(logits[copies], targets[copies]))
    check.close(loss, expected / len(copies), **EXACT, name="loss")
    gaps = special.softmax(logits, axis=1) - np.eye(4)[targets]
    summed = np.zeros((9, 4))
    np.add.at(summed, copies, gaps[copies] / len(copies))
    check.close(gradient, summed, **EXACT, name="gradient")


@task(3)
def test_numbers_that_torch_gives(lab):
    for weights, (loss, row) in [(None, TORCH), (WEIGHTS, WEIGHTED)]:
        got = lab.softmax_cross_entropy(LOGITS, TARGETS, class_weight=weights)
        check.close(got[0], loss, **TEN_DIGITS, name="loss")
        check.close(got[1][0], np.array(row), **TEN_DIGITS, name="first row")


@task(3)
def test_weighted_loss_of_large_logits(lab):
    logits = np.array([[0.0, 10_000.0], [-10_000.0, -10_000.0], [5_000.0, 0.0]])
    loss, gradient = lab.softmax_cross_entropy(logits, [0, 1, 0], class_weight=[1, 2])
    check.close(loss, (10_000 + 2 * LN2) / 4, **EXACT, name="loss")
    expected = np.array([[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0]]) / 4
    check.close(gradient, expected, **EXACT, name="gradient")


@task(3)
def test_balanced_weights_of_drawn_labels(lab, rng):
    for N, K in [(40, 3), (30, 7), (5, 5)]:
        y = rng.permutation(np.concatenate([np.arange(K), rng.integers(0, K, N - K)]))
        got = lab.balanced_class_weights(y, K)
        counts = Counter(y.tolist())
        expected = [float(Fraction(N, K * counts[k])) for k in range(K)]
        check.close(got, np.array(expected), **EXACT)
        check.close(float(got[y].sum()), float(N), **EXACT, name="all weights together")


@task(3)
def test_input_of_the_weights(lab):
    loss, weights = lab.softmax_cross_entropy, lab.balanced_class_weights
    check.close(loss([[0, 0]], [1])[0], LN2, name="lists")
    for bad in ([1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]):
        refused("class_weight", lambda bad=bad: loss([[0, 0]], [1], class_weight=bad))
    refused("targets", lambda: loss([[0.0, 1.0]], [2]))
    refused("y", lambda: weights([0, 0, 2], 3))
    refused("y", lambda: weights([0, 1, 2], 2))


# --- Task 4 ----------------------------------------------------------------------


def gradient_at(W, b, X, y, *, lam, weights):
    """The gradient of the objective by W and b, one example after the other."""
    dW, db, total = lam * W, np.zeros_like(b), sum(weights[t] for t in y)
    for x, t in zip(X, y, strict=True):
        gap = special.softmax(x @ W + b)
        gap[t] -= 1
        dW = dW + weights[t] / total * np.outer(x, gap)
        db = db + weights[t] / total * gap
    return dW, db


def objective_at(W, b, X, y, *, lam, weights):
    """The loss over all rows, with the penalty."""
    w = weights[y]
    data = math.fsum(w * losses_by_scipy(X @ W + b, y)) / math.fsum(w)
    return data + lam / 2 * math.fsum((W**2).ravel())


def descend(X, y, batches, W, b, *, lr, lam, weights):
    """The same descent over given batches: a list of rows a step, a list an epoch."""
    losses = []
    for epoch in batches:
        for rows in epoch:
            dW, db = gradient_at(W, b, X[rows], y[rows], lam=lam, weights=weights)
            W, b = W - lr * dW, b - lr * db
        losses.append(objective_at(W, b, X, y, lam=lam, weights=weights))
    return W, b, losses


def model(lab, W, b):
    """A model with the parameters W and b."""
    made = lab.SoftmaxRegression(*W.shape)
    made.W, made.b = W.copy(), b.copy()
    return made


def same_descent(fitted, losses, expected, case):
    """W, b and the losses are the expected ones."""
    W, b, history = expected
    check.close(fitted.W, W, **EXACT, name=f"W in the end, {case}")
    check.close(fitted.b, b, **EXACT, name=f"b in the end, {case}")
    check.close(losses, history, **EXACT, name=f"loss after each epoch, {case}")


@task(4)
def test_one_step_from_zero(lab):
    X, y = np.array([[1.0, 2.0], [3.0, 0.0], [1.0, 1.0], [-1.0, 1.0]]), [0, 0, 0, 1]
    fitted = lab.SoftmaxRegression(2, 2)
    losses = fitted.fit(X, y, lr=2.0, epochs=1)
    # both probabilities are 1/2: the gradient by the logits is -1/8, 1/8 in the rows
    # of class 0 and 1/8, -1/8 in the row of class 1
    check.close(fitted.b, np.array([0.5, -0.5]), **EXACT, name="b")
    W = np.array([[1.5, -1.5], [0.5, -0.5]])
    check.close(fitted.W, W, **EXACT, name="W")
    costs = [math.log1p(math.exp(-lead)) for lead in (6, 10, 5, 1)]
    check.close(losses, [math.fsum(costs) / 4], **EXACT, name="loss after the step")


@task(4)
def test_what_a_model_predicts(lab, rng):
    for N, D, K in [(6, 3, 4), (5, 4, 4)]:
        X, W, b = rng.normal(size=(N, D)), rng.normal(size=(D, K)), rng.normal(size=K)
        m = model(lab, W, b)
        scores = np.array([[math.fsum(x * w) for w in W.T] for x in X]) + b
        check.close(m.logits(X), scores, **EXACT, name="logits")
        probabilities = special.softmax(scores, axis=1)
        check.close(m.predict_proba(X), probabilities, **EXACT, name="probabilities")
        best = [max(range(K), key=row.__getitem__) for row in scores.tolist()]
        check.equal(m.predict(X), np.array(best, dtype=np.int64), name="classes")
    tied = model(lab, np.zeros((2, 4)), np.array([0.0, 3.0, 1.0, 3.0]))
    check.equal(tied.predict([[1, 2], [5, 6]]), np.array([1, 1], dtype=np.int64))


@task(4)
def test_descent_over_all_rows(lab, rng):
    N, D, K = 9, 3, 4
    X, y = rng.normal(size=(N, D)), rng.permutation(np.arange(N) % K)
    W, b, ones = rng.normal(size=(D, K)), rng.normal(size=K), np.ones(K)
    for lam in (0.0, 0.25):
        fitted = model(lab, W, b)
        unused = np.random.default_rng(5)
        losses = fitted.fit(X, y, epochs=2, lam=lam, rng=unused)
        losses += fitted.fit(X, y, epochs=4, lam=lam)  # goes on where it ended
        expected = descend(X, y, [[range(N)]] * 6, W, b, lr=0.5, lam=lam, weights=ones)
        same_descent(fitted, losses, expected, f"lam {lam}")
    check.equal(unused.random(), np.random.default_rng(5).random(), name="a draw after")
    check.equal(fitted.fit(X, y, epochs=0), [], name="no epochs")


@task(4)
def test_descent_over_batches(lab, rng):
    N, D, K, size = 11, 2, 3, 4
    X, y = rng.normal(size=(N, D)), rng.permutation(np.arange(N) % K)
    weights = np.array([1.0, 4.0, 0.5])
    for seed in (None, 8):
        given = None if seed is None else np.random.default_rng(seed)
        fitted = lab.SoftmaxRegression(D, K)
        options = {"lr": 0.3, "lam": 0.1, "class_weight": weights}
        losses = fitted.fit(X, y, epochs=3, batch_size=size, rng=given, **options)
        own = np.random.default_rng(seed)
        orders = [np.arange(N) if seed is None else own.permutation(N) for _ in "123"]
        batches = [[o[i : i + size] for i in range(0, N, size)] for o in orders]
        start = np.zeros((D, K)), np.zeros(K)
        expected = descend(X, y, batches, *start, lr=0.3, lam=0.1, weights=weights)
        order = "rows in order" if seed is None else "rows shuffled"
        same_descent(fitted, losses, expected, order)


@task(4)
def test_descent_ends_where_the_gradient_is_zero(lab, rng):
    # with lam > 0 there is one best W, and lr < 1 / L makes every step go down
    X, y = rng.uniform(-1, 1, size=(14, 2)), rng.permutation(np.arange(14) % 3)
    fitted = lab.SoftmaxRegression(2, 3)
    losses = fitted.fit(X, y, lr=0.5, epochs=400, lam=0.2)  # L <= (1 + 2) / 2 + 0.2
    drops = np.diff([math.log(3), *losses])
    check.that(bool((drops <= 1e-12).all()), "a loss that never rises", losses)
    parts = gradient_at(fitted.W, fitted.b, X, y, lam=0.2, weights=np.ones(3))
    for part in parts:
        check.close(part, np.zeros_like(part), atol=1e-6, name="gradient at the end")


@task(4)
def test_input_of_training(lab):
    X, y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
    fitted = lab.SoftmaxRegression(2, 2)
    check.close(fitted.predict_proba(X), np.full((2, 2), 0.5), name="lists")
    for method in (fitted.logits, fitted.predict_proba, fitted.predict):
        refused("X", lambda f=method: f([[1.0, 2.0, 3.0]]))
    for name, bad in [("lr", 0.0), ("lam", -1.0), ("batch_size", 0)]:
        refused(name, lambda name=name, bad=bad: fitted.fit(X, y, **{name: bad}))
    check.raises(ValueError, lambda: fitted.fit(X, [0, 2]))
    check.raises(ValueError, lambda: fitted.fit(X, [0]))


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_seven_predictions(lab):
    y_true, y_pred = [0, 0, 0, 1, 1, 2, 0], [0, 0, 1, 1, 2, 0, 0]
    expected = np.array([[3, 1, 0], [0, 1, 1], [1, 0, 0]], dtype=np.int64)
    check.equal(lab.confusion_matrix(y_true, y_pred, 3), expected)
    check.close(lab.accuracy(expected), 4 / 7, **EXACT, name="accuracy")


@task(5)
def test_drawn_labels_against_counting(lab, rng):
    for N, K in [(50, 4), (12, 7), (9, 2)]:
        y_true, y_pred = rng.integers(0, K, N), rng.integers(0, K - 1, N)
        got = lab.confusion_matrix(y_true, y_pred, K)
        pairs = Counter(zip(y_true.tolist(), y_pred.tolist(), strict=True))
        expected = [[pairs[i, j] for j in range(K)] for i in range(K)]
        check.equal(got, np.array(expected, dtype=np.int64))
        right = sum(t == p for t, p in zip(y_true, y_pred, strict=True))
        check.close(lab.accuracy(np.array(expected)), right / N, **EXACT)


@task(5)
def test_input_of_the_matrix(lab):
    matrix, accuracy = lab.confusion_matrix, lab.accuracy
    check.equal(matrix([], [], 2), np.zeros((2, 2), dtype=np.int64), name="nothing")
    check.close(accuracy([[3, 1], [0, 0]]), 0.75, name="a list")
    refused("y_true", lambda: matrix([0, 3], [0, 1], 3))
    refused("y_pred", lambda: matrix([0, 1], [0, -1], 3))
    refused("y_pred", lambda: matrix([0, 1], [0, 1, 1], 3))
    check.raises(TypeError, lambda: matrix([0.5, 1], [0, 1], 3), match="y_true")
    for bad in ([[1, 2]], [[0, 0], [0, 0]], [[1, -1], [0, 1]]):
        refused("cm", lambda bad=bad: accuracy(bad))


# --- Task 6 ----------------------------------------------------------------------


def over(a, b):
    """a / b without rounding; 0 where b is 0."""
    return Fraction(int(a), int(b)) if b else Fraction(0)


def scores_by_fractions(cm, average):
    """Precision, recall and F1, exact until the last step."""
    K, total = len(cm), int(cm.sum())
    hits, columns, rows = cm.diagonal(), cm.sum(axis=0), cm.sum(axis=1)
    P = [over(hits[k], columns[k]) for k in range(K)]
    R = [over(hits[k], rows[k]) for k in range(K)]
    F = [
        2 * p * r / (p + r) if p + r else Fraction(0) for p, r in zip(P, R, strict=True)
    ]
    if average is None:
        return tuple(np.array([float(x) for x in score]) for score in (P, R, F))
    if average == "micro":
        return (float(Fraction(int(hits.sum()), total)),) * 3
    shares = [Fraction(int(n), total) for n in rows]
    if average == "macro":
        shares = [Fraction(1, K)] * K
    return tuple(
        float(sum(s * x for s, x in zip(shares, score, strict=True)))
        for score in (P, R, F)
    )


@task(6)
def test_scores_of_three_classes(lab):
    cm = np.array([[6, 2, 0], [1, 3, 0], [5, 3, 0]])  # nothing is called class 2
    P, R = [6 / 12, 3 / 8, 0.0], [6 / 8, 3 / 4, 0.0]
    F = [12 / 20, 6 / 12, 0.0]
    expected = np.array(P), np.array(R), np.array(F)
    check.close(lab.precision_recall_f1(cm), expected, **EXACT, name="each class")
    macro = (7 / 24, 0.5, 1.1 / 3)
    got = lab.precision_recall_f1(cm, average="macro")
    check.close(got, macro, **EXACT, name="macro")
    micro = lab.precision_recall_f1(cm, average="micro")
    check.close(micro, (0.45, 0.45, 0.45), **EXACT, name="micro")
    weighted = (5.5 / 20, 9 / 20, (8 * 0.6 + 4 * 0.5) / 20)
    got = lab.precision_recall_f1(cm, average="weighted")
    check.close(got, weighted, **EXACT, name="weighted")


@task(6)
def test_drawn_matrices_against_fractions(lab, rng):
    for K in (2, 3, 5, 8):
        cm = rng.integers(0, 9, (K, K)) * rng.integers(0, 2, (K, K))
        cm[0, 1] += 1
        if K > 3:
            cm[K - 1] = cm[:, K - 1] = 0  # a class that never occurs
            cm[1] = 0  # one that is only guessed
        for average in (None, "macro", "micro", "weighted"):
            got = lab.precision_recall_f1(cm, average=average)
            expected = scores_by_fractions(cm, average)
            check.close(got, expected, **EXACT, name=average or "each class")


@task(6)
def test_input_of_the_scores(lab):
    scores = lab.precision_recall_f1
    check.close(scores([[2, 0], [0, 1]], average="macro"), (1.0, 1.0, 1.0), name="list")
    refused("cm", lambda: scores([[1, 0]]))
    refused("cm", lambda: scores([[0, 0], [0, 0]]))
    refused("average", lambda: scores([[1]], average="mean"))


# --- Task 7 ----------------------------------------------------------------------


def bins_by_dictionary(probs, y, n_bins):
    """Mean confidence, accuracy and count of each bin, one example after the other."""
    found = defaultdict(list)
    for row, t in zip(np.asarray(probs).tolist(), y, strict=True):
        c, k = max((p, -k) for k, p in enumerate(row))  # of equal ones the lower class
        inside = [m for m in range(n_bins) if Fraction(m, n_bins) <= Fraction(c)]
        found[inside[-1]].append((c, -k == t))
    conf, acc, count = [], [], []
    for m in range(n_bins):
        held = found[m]
        n = len(held)
        conf.append(math.fsum(c for c, _ in held) / n if n else math.nan)
        acc.append(sum(right for _, right in held) / n if n else math.nan)
        count.append(n)
    return np.array(conf), np.array(acc), np.array(count, dtype=np.int64)


def gap_by_dictionary(probs, y, n_bins):
    """The expected calibration error from these bins."""
    bins = zip(*bins_by_dictionary(probs, y, n_bins), strict=True)
    return math.fsum(int(n) * abs(a - c) for c, a, n in bins if n) / len(y)


@task(7)
def test_six_predictions_in_four_bins(lab):
    probs = np.array(
        [[0.625, 0.375], [0.25, 0.75], [0.875, 0.125], [0, 1], [0.5, 0.5], [0.3, 0.7]]
    )
    y = np.array([0, 1, 1, 0, 0, 0])
    conf, acc, count = lab.reliability(probs, y, n_bins=4)
    check.equal(count, np.array([0, 0, 3, 3]), name="count")
    nan = math.nan
    expected = np.array([nan, nan, (0.625 + 0.5 + 0.7) / 3, (0.75 + 0.875 + 1) / 3])
    check.close(conf, expected, **EXACT, name="conf")
    check.close(acc, np.array([nan, nan, 2 / 3, 1 / 3]), **EXACT, name="acc")
    got = lab.expected_calibration_error(probs, y, n_bins=4)
    # 1.825 sure and 2 right in one bin, 2.625 and 1 in the other
    check.close(got, (0.175 + 1.625) / 6, **EXACT, name="error")


@task(7)
def test_drawn_predictions_against_a_dictionary(lab, rng):
    for N, K, n_bins in [(60, 4, 15), (25, 3, 10), (40, 10, 7), (9, 2, 1)]:
        probs = special.softmax(rng.normal(0, 2, size=(N, K)), axis=1)
        likely = rng.random(N) < 0.6
        y = np.where(likely, probs.argmax(axis=1), rng.integers(0, K, N))
        expected = bins_by_dictionary(probs, y, n_bins)
        check.close(lab.reliability(probs, y, n_bins=n_bins), expected, **EXACT)
        got = lab.expected_calibration_error(probs, y, n_bins=n_bins)
        check.close(got, gap_by_dictionary(probs, y, n_bins), **EXACT)
    fifteen = gap_by_dictionary(probs, y, 15)
    check.close(lab.expected_calibration_error(probs, y), fifteen, **EXACT)


@task(7)
@few
@given(
    st.lists(st.tuples(st.integers(0, 16), st.integers(0, 1)), min_size=1, max_size=9),
    st.sampled_from([2, 4, 8, 16]),
)
def test_confidences_on_the_borders_of_bins(lab, examples, n_bins):
    # sixteenths are exact in binary, so who lies on a border is not left to rounding
    p = np.array([n for n, _ in examples]) / 16
    probs, y = np.column_stack([p, 1 - p]), np.array([t for _, t in examples])
    expected = bins_by_dictionary(probs, y, n_bins)
    check.close(lab.reliability(probs, y, n_bins=n_bins), expected, **EXACT)
    got = lab.expected_calibration_error(probs, y, n_bins=n_bins)
    check.close(got, gap_by_dictionary(probs, y, n_bins), **EXACT)


@task(7)
def test_a_calibrated_model_and_a_constant_one(lab, rng):
    # 3, 5 and 7 of 8 are right where the model says 3/8, 5/8 and 7/8
    probs, y = [], []
    for eighths in (3, 5, 7):
        rest = (8 - eighths) / 8
        row = [eighths / 8, rest / 2, rest / 4, rest / 4]
        probs += [row] * 8
        y += [0] * eighths + [1] * (8 - eighths)
    order = rng.permutation(24)
    shuffled = np.array(probs)[order], np.array(y)[order]
    got = lab.expected_calibration_error(*shuffled, n_bins=8)
    check.close(got, 0.0, atol=1e-12, name="calibrated")
    got = lab.expected_calibration_error(np.full((24, 4), 0.25), shuffled[1])
    check.close(got, 15 / 24 - 0.25, **EXACT, name="always class 0 with 1/4")
    above = [[1.0 + 2**-52, 0.0, 0.0], [0.0, 0.0, 1.0]]  # rounding, and exactly 1
    got = lab.expected_calibration_error(above, [0, 1], n_bins=5)
    check.close(got, 0.5, **EXACT, name="two certain predictions")


@task(7)
def test_input_of_calibration(lab):
    good = [[0.5, 0.5], [0.2, 0.8]]
    check.close(lab.expected_calibration_error(good, [0, 1]), 0.35, name="lists")
    for measure in (lab.reliability, lab.expected_calibration_error):
        for bad in ([[1.5, -0.5], [1, 0]], [[0.5, 0.6], [1, 0]], [0.5, 0.5]):
            refused("probs", lambda f=measure, bad=bad: f(bad, [0, 1]))
        refused("y", lambda f=measure: f(good, [0, 2]))
        refused("n_bins", lambda f=measure: f(good, [0, 1], n_bins=0))
