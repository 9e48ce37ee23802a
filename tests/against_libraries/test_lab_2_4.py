"""Lab 2.4's solution beside torch and scikit-learn.

The lab's grader keeps to SciPy and a few stored numbers, so that feedback is fast. Here
the reference meets the libraries themselves, on many drawn inputs.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from common import datasets, labs, seeding

lab = labs.solution("2.4")
SHAPES = [(7, 4), (4, 9), (5, 5), (300, 10), (33, 2), (2, 50)]


def drawn(N: int, K: int, spread: float = 3.0):
    rng = seeding.rng(24, "logits", N, K)
    logits = rng.normal(0, spread, (N, K))
    return logits, rng.integers(0, K, N), rng.uniform(0.1, 5, K)


# --- torch ------------------------------------------------------------------------


def torch_loss(logits, targets, weights=None):
    """Value and gradient of torch's cross_entropy in float64."""
    import torch

    Z = torch.tensor(logits, requires_grad=True)
    weight = None if weights is None else torch.tensor(weights)
    loss = torch.nn.functional.cross_entropy(Z, torch.tensor(targets), weight)
    loss.backward()
    return loss.item(), Z.grad.numpy()


@pytest.mark.parametrize("spread", [0.1, 3.0, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_gradient_are_those_of_torch(shape, spread):
    logits, targets, weights = drawn(*shape, spread)
    close = {"rtol": 1e-12, "atol": 1e-13}
    loss, gradient = torch_loss(logits, targets)
    np.testing.assert_allclose(lab.cross_entropy(logits, targets), loss, **close)
    found = lab.cross_entropy_gradient(logits, targets)
    np.testing.assert_allclose(found, gradient, **close)
    for used in (None, weights):
        loss, gradient = torch_loss(logits, targets, used)
        both = lab.softmax_cross_entropy(logits, targets, class_weight=used)
        np.testing.assert_allclose(both[0], loss, **close)
        np.testing.assert_allclose(both[1], gradient, **close)


def test_numbers_of_the_grader_are_those_of_torch():
    """The grader's stored digits, computed again by the torch of today."""
    found = labs.find("2.4")[0].file("test_lab.py")
    grader = labs.load(found.read_text(encoding="utf-8"), found, "grader_2_4")
    for weights, stored in ((None, grader.TORCH), (grader.WEIGHTS, grader.WEIGHTED)):
        given = None if weights is None else np.array(weights)
        loss, gradient = torch_loss(np.array(grader.LOGITS), grader.TARGETS, given)
        np.testing.assert_allclose(loss, stored[0], rtol=1e-9)
        np.testing.assert_allclose(gradient[0], stored[1], rtol=1e-9)


@pytest.mark.parametrize("size", [1e4, 1e300])
def test_large_logits_give_no_warning(size):
    logits = np.array([[0.0, size], [-size, -size], [size / 2, 0.0]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, gradient = lab.softmax_cross_entropy(logits, [0, 1, 0])
        assert np.isfinite(loss) and np.isfinite(gradient).all()
        assert np.isfinite(lab.cross_entropy(logits, [0, 1, 0]))
        assert np.isfinite(lab.cross_entropy_gradient(logits, [0, 1, 0])).all()


# --- scikit-learn -----------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_training_ends_where_that_of_sklearn_ends(weighted):
    rng = seeding.rng(24, "training")
    X, y = rng.normal(size=(60, 3)), np.arange(60) % 4
    X[:, 0] += y
    lam, balanced = 0.05, lab.balanced_class_weights(y[7:], 4)
    class_weight = balanced if weighted else None
    model = lab.SoftmaxRegression(3, 4)
    model.fit(X, y, lr=0.2, epochs=3000, lam=lam, class_weight=class_weight)
    # sklearn adds up the weighted losses and divides nothing
    total = len(y) if class_weight is None else class_weight[y].sum()
    peer = LogisticRegression(
        C=1 / (lam * total),
        class_weight=None if class_weight is None else dict(enumerate(class_weight)),
        tol=1e-10,
        max_iter=10_000,
    ).fit(X, y)
    np.testing.assert_allclose(model.W, peer.coef_.T, rtol=1e-3, atol=1e-4)
    shift = np.mean(model.b - peer.intercept_)  # the same number on all b is free
    np.testing.assert_allclose(model.b - shift, peer.intercept_, rtol=1e-3, atol=1e-4)
    assert (model.predict(X) == peer.predict(X)).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_counts_and_scores_are_those_of_sklearn():
    """500 drawn pairs of labels, many with classes that miss on one side or both."""
    for i in range(500):
        rng = seeding.rng(24, "labels", i)
        K, N = int(rng.integers(2, 8)), int(rng.integers(1, 40))
        y, guess = rng.integers(0, K, N), rng.integers(0, rng.integers(1, K + 1), N)
        names = np.arange(K)
        cm = lab.confusion_matrix(y, guess, K)
        assert (cm == metrics.confusion_matrix(y, guess, labels=names)).all()
        assert lab.accuracy(cm) == pytest.approx(metrics.accuracy_score(y, guess))
        average = (None, "macro", "micro", "weighted")[i % 4]
        peer = metrics.precision_recall_fscore_support(
            y, guess, labels=names, average=average, zero_division=0
        )
        got = lab.precision_recall_f1(cm, average=average)
        for ours, theirs in zip(got, peer[:3], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


def test_balanced_weights_are_those_of_sklearn():
    y = datasets.digits()[1][:200]
    peer = compute_class_weight("balanced", classes=np.arange(10), y=y)
    np.testing.assert_allclose(lab.balanced_class_weights(y, 10), peer, rtol=1e-14)


# --- NumPy ------------------------------------------------------------------------


@pytest.mark.parametrize("n_bins", [1, 2, 7, 10, 15, 100])
def test_bins_are_those_of_a_histogram(n_bins):
    """Away from the borders, where linspace and m / n_bins may round differently."""
    probs = seeding.rng(24, "bins", n_bins).dirichlet(np.ones(5) / 3, size=400)
    y = np.arange(400) % 5
    count = lab.reliability(probs, y, n_bins=n_bins)[2]
    expected = np.histogram(probs.max(axis=1), bins=n_bins, range=(0, 1))[0]
    np.testing.assert_array_equal(count, expected)
