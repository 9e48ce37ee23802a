"""Probability and information: the loss of a language model, and when to believe it.

You build the stable log-sum-exp and softmax, entropy and its relatives, the loss and
the scores that are read off it, Bayes' rule, running moments, and two resampling tests.
At the end you can say whether model B is better than model A, or only luckier.

1 softmax and friends (2)   2 entropy, KL (2)   3 loss and its scores (2)   4 Bayes (1)
5 running moments (1)   6 bootstrap interval (1)   7 paired permutation test (1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike


def as_distribution(name: str, values: ArrayLike) -> np.ndarray:
    """Return `values` as a float64 array (K,), or say why it is no distribution.

    Raises:
        ValueError: not one-dimensional, an entry is negative or NaN, or the sum is more
            than 1e-9 away from 1; the message starts with `name`.
    """
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"{name} must have shape (K,), got {p.shape}")
    if not (p >= 0).all():  # written so that NaN fails too
        raise ValueError(f"{name} must hold no negative number and no NaN")
    if not abs(p.sum() - 1) <= 1e-9:
        raise ValueError(f"{name} must sum to 1, got {p.sum():.12g}")
    return p


# --- Task 1 (2 points): logsumexp, softmax, log_softmax ---------------------------


def logsumexp(
    x: ArrayLike, axis: int = -1, keepdims: bool = False
) -> np.ndarray | float:
    """The logarithm of the sum of exponentials along one axis, without overflow.

    log sum_k exp(x_k). logsumexp([0.0, log(3)]) is log(4), and logsumexp([1000, 1000])
    is 1000 + log(2). An entry -inf adds nothing; where all are -inf, so is the result.

    Args:
        x: numbers of any shape, at least one-dimensional; computed in float64.
        axis: the axis that is summed away.
        keepdims: keep that axis with length 1.

    Returns:
        float64, the shape of `x` without the axis (a float for a vector).
    """
    # task 1
    x = np.asarray(x, dtype=np.float64)
    top = _max(x, axis)
    with np.errstate(divide="ignore"):  # log 0 = -inf is meant
        out = top + np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True))
    return out if keepdims else np.squeeze(out, axis=axis)[()]


def softmax(x: ArrayLike, axis: int = -1) -> np.ndarray:
    """Probabilities from scores: exp(x_k) / sum_j exp(x_j) along one axis.

    softmax([0.0, log(3)]) is [0.25, 0.75], and so is softmax([1000, 1000 + log(3)]).

    Args:
        x: scores (logits) of any shape, at least one of them finite along the axis.
        axis: the axis along which the result sums to 1.

    Returns:
        float64, the shape of `x`.
    """
    # task 1
    x = np.asarray(x, dtype=np.float64)
    weights = x - _max(x, axis)
    np.exp(weights, out=weights)  # in place: a third of the memory
    weights /= np.sum(weights, axis=axis, keepdims=True)
    return weights


def log_softmax(x: ArrayLike, axis: int = -1) -> np.ndarray:
    """The logarithm of `softmax`, exact where the softmax itself rounds to 0.

    log_softmax([1000.0, 0.0]) is [0.0, -1000.0]. Arguments and result as in `softmax`.
    """
    # task 1
    x = np.asarray(x, dtype=np.float64)
    below = x - _max(x, axis)
    return below - np.log(np.sum(np.exp(below), axis=axis, keepdims=True))


def _max(x: np.ndarray, axis: int) -> np.ndarray:
    # task 1
    # Taken off before exp, so that the largest exponent is 0: exp(1000) overflows.
    top = np.max(x, axis=axis, keepdims=True)
    return np.where(top == -np.inf, 0.0, top)  # -inf - -inf would be NaN


# --- Task 2 (2 points): entropy, cross-entropy, KL --------------------------------


def entropy(p: ArrayLike, *, base: float = np.e) -> float:
    """The mean surprise of a distribution: H(p) = -sum_k p_k log p_k.

    An outcome of probability 0 adds 0. entropy([0.5, 0.25, 0.25], base=2) is 1.5.

    Args:
        p: probabilities (K,).
        base: of the logarithm; e gives nats, 2 gives bits.

    Raises:
        ValueError: `p` is no distribution (see `as_distribution`).
    """
    # task 2
    p = as_distribution("p", p)
    happens = p > 0  # 0 * log 0 counts as 0; NumPy would make it NaN
    return float(-np.sum(p[happens] * np.log(p[happens])) / np.log(base))


def cross_entropy(p: ArrayLike, q: ArrayLike, *, base: float = np.e) -> float:
    """The mean surprise of somebody who believes q: H(p, q) = -sum_k p_k log q_k.

    Infinite where q says 0 and p does not; an outcome with p_k = 0 adds 0.
    cross_entropy([0.5, 0.5], [0.25, 0.75], base=2) is 1.207...

    Args:
        p: probabilities of the data (K,).
        q: probabilities of the model (K,).
        base: as in `entropy`.

    Raises:
        ValueError: `p` or `q` is no distribution, or `q` has another length than `p`.
    """
    # task 2
    p, q = _pair(p, q)
    happens = p > 0
    with np.errstate(divide="ignore"):  # an impossible outcome that happens: infinity
        return float(-np.sum(p[happens] * np.log(q[happens])) / np.log(base))


def kl_divergence(p: ArrayLike, q: ArrayLike, *, base: float = np.e) -> float:
    """What believing q costs on top: KL(p || q) = sum_k p_k log(p_k / q_k).

    Never negative (but for rounding), 0 where p = q, and not symmetric.
    kl_divergence([0.5, 0.5], [0.25, 0.75], base=2) is 0.207... Arguments and errors as
    in `cross_entropy` (Kullback and Leibler 1951).
    """
    # task 2
    p, q = _pair(p, q)
    happens = p > 0
    with np.errstate(divide="ignore"):
        log_ratio = np.log(p[happens]) - np.log(q[happens])
    return float(np.sum(p[happens] * log_ratio) / np.log(base))


def _pair(p: ArrayLike, q: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    # task 2
    p, q = as_distribution("p", p), as_distribution("q", q)
    if p.shape != q.shape:
        raise ValueError(f"q must have {len(p)} entries like p, got {len(q)}")
    return p, q


# --- Task 3 (2 points): token NLL, perplexity, bits per byte ----------------------


def token_nll(logits: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """The loss of each token: minus the log probability of what really came.

    token_nll([[0.0, log(3)]], [1]) is [-log(0.75)] = [0.2877]. Its mean over a batch is
    the cross-entropy loss of a language model.

    Args:
        logits: scores (N, K), one row per position, one column per class.
        targets: integers (N,) from 0 to K - 1, the class that came.

    Returns:
        float64 (N,), in nats.

    Raises:
        ValueError: `logits` is not (N, K), `targets` is not (N,), or a target is
            outside 0..K-1.
    """
    # task 3
    logits, targets = np.asarray(logits, dtype=np.float64), np.asarray(targets)
    if logits.ndim != 2:
        raise ValueError(f"logits must have shape (N, K), got {logits.shape}")
    N, K = logits.shape
    if targets.shape != (N,):
        raise ValueError(f"targets must have shape ({N},), got {targets.shape}")
    if ((targets < 0) | (targets >= K)).any():  # NumPy would take -1 for the last one
        raise ValueError(f"targets must be in 0..{K - 1}")
    return -log_softmax(logits)[np.arange(N), targets]


def perplexity(nll: ArrayLike) -> float:
    """The number of equally likely tokens that would be as hard: exp of the mean loss.

    perplexity([log(2), log(8)]) is 4.0.

    Args:
        nll: the losses of n tokens in nats (n,).

    Raises:
        ValueError: `nll` is empty.
    """
    # task 3
    nll = np.asarray(nll, dtype=np.float64)
    if nll.size == 0:
        raise ValueError("nll must hold at least one number")
    return float(np.exp(np.mean(nll)))


def bits_per_byte(nll: ArrayLike, n_bytes: int) -> float:
    """The total loss in bits, per byte of the text: comparable across tokenizers.

    bits_per_byte([log(8), log(32)], n_bytes=16) is 0.5: 3 and 5 bits for 16 bytes.

    Args:
        nll: the losses of all tokens of a text in nats (n,).
        n_bytes: length of that text in UTF-8.

    Raises:
        ValueError: `n_bytes` is below 1.
    """
    # task 3
    if n_bytes < 1:
        raise ValueError(f"n_bytes must be at least 1, got {n_bytes}")
    return float(np.sum(nll) / (np.log(2) * n_bytes))


# --- Task 4 (1 point): Bayes ------------------------------------------------------


def bayes_posterior(prior: ArrayLike, likelihood: ArrayLike) -> np.ndarray:
    """What to believe after the data: prior times likelihood, divided by its sum.

    With several observations, independent of each other under each hypothesis, their
    likelihoods multiply. The work is done on logarithms, so thousands of them do not
    round to 0 on the way. bayes_posterior([0.25, 0.75], [0.9, 0.1]) is [0.75, 0.25].

    Args:
        prior: probabilities of H hypotheses (H,).
        likelihood: probability or density of the observation under each hypothesis,
            not negative, (H,); or one row per observation, (n, H).

    Returns:
        float64 (H,), sums to 1.

    Raises:
        ValueError: `prior` is no distribution; `likelihood` has another shape or a
            negative or NaN entry, or leaves no hypothesis possible.
    """
    # task 4
    prior = as_distribution("prior", prior)
    likelihood = np.atleast_2d(np.asarray(likelihood, dtype=np.float64))
    if likelihood.ndim != 2 or likelihood.shape[1] != len(prior):
        raise ValueError(f"likelihood must have {len(prior)} columns, one per prior")
    if not (likelihood >= 0).all():
        raise ValueError("likelihood must hold no negative number and no NaN")
    with np.errstate(divide="ignore"):  # log 0 = -inf: excluded for good
        log_joint = np.log(prior) + np.sum(np.log(likelihood), axis=0)
    if np.max(log_joint) == -np.inf:
        raise ValueError("likelihood leaves no hypothesis possible")
    return softmax(log_joint)  # divides by the sum, without leaving the logarithms


# --- Task 5 (1 point): running mean and variance ----------------------------------


@dataclass
class RunningMoments:
    """Mean and variance of numbers that pass by once and are not kept.

    Welford (1962) for one number more, Chan, Golub and LeVeque (1983) for two halves.
    """

    count: int = 0
    mean: float = 0.0  # of the numbers so far; 0.0 before the first
    squares: float = 0.0  # sum of squared deviations from the mean

    def push(self, x: float) -> None:
        """Take in one number; `count`, `mean` and `squares` change."""
        # task 5
        self.count += 1
        before = x - self.mean
        self.mean += before / self.count
        after = x - self.mean  # before * after: the one number's share, moved mean in
        self.squares += before * after

    def merge(self, other: Self) -> Self:
        """New moments, as if all numbers of both had been pushed into one.

        Neither of the two changes. Either may be empty.
        """
        # task 5
        count = self.count + other.count
        if count == 0:
            return type(self)()
        apart = other.mean - self.mean
        mean = self.mean + apart * other.count / count
        between = apart**2 * self.count * other.count / count
        return type(self)(count, mean, self.squares + other.squares + between)

    def variance(self, ddof: int = 1) -> float:
        """Squared deviations divided by count - ddof; 1 estimates, 0 describes.

        Raises:
            ValueError: `ddof` is not below `count`.
        """
        # task 5
        if self.count <= ddof:
            raise ValueError(f"ddof must be below the count {self.count}, got {ddof}")
        return self.squares / (self.count - ddof)


# --- Task 6 (1 point): bootstrap --------------------------------------------------


def bootstrap_ci(
    x: ArrayLike,
    statistic: Callable[[np.ndarray], float] = np.mean,
    *,
    level: float = 0.95,
    n_resamples: int = 10_000,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """A confidence interval for a statistic: the percentile bootstrap.

    Draw n of the n values with replacement, compute the statistic, repeat. The interval
    lies between the (1 - level) / 2 and the (1 + level) / 2 quantile of the results,
    as np.quantile finds them (Efron and Tibshirani 1993, chapter 13).

    Args:
        x: values (n,).
        statistic: takes float64 values (n,) and returns a number; called once for
            each resample.
        level: share of the results inside; above 0 and below 1.
        n_resamples: how often to draw, at least 1.
        rng: where the draws come from.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: `x` is empty or not (n,); `level` or `n_resamples` out of range.
    """
    # task 6
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"x must have shape (n,) with n > 0, got {x.shape}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")
    found = np.empty(n_resamples)
    for i in range(n_resamples):  # one by one: all n_resamples * n may not fit
        sample = rng.choice(x, size=len(x), replace=True)
        found[i] = statistic(sample)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


# --- Task 7 (1 point): paired permutation test ------------------------------------


def paired_permutation_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    n_resamples: int = 10_000,
    rng: np.random.Generator,
) -> float:
    """How often chance alone makes a difference as large as the one between a and b.

    Were a and b the same in truth, each pair could as well have been the other way
    round. So flip the sign of each difference a_i - b_i by a fair coin, and count a hit
    where the mean is at least as far from 0, on either side, as the observed one. Means
    closer than 1e-12 times the mean of the |a_i - b_i| count as equal: 0.1 + 0.2 is not
    0.3. The p-value is (1 + hits) / (1 + n_resamples): what was observed is an
    arrangement too (Phipson and Smyth 2010).

    Args:
        a: scores of the first model (n,).
        b: scores of the second on the same n examples (n,).
        n_resamples: how often to flip, at least 1.
        rng: where the coins come from.

    Raises:
        ValueError: `a` is empty or not (n,), `b` has another shape, `n_resamples` is
            below 1.
    """
    # task 7
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.size == 0:
        raise ValueError(f"a must have shape (n,) with n > 0, got {a.shape}")
    if b.shape != a.shape:
        raise ValueError(f"b must have shape {a.shape} like a, got {b.shape}")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")
    d = a - b
    rounding = 1e-12 * np.sum(np.abs(d))  # 0.1 + 0.2 is not 0.3
    observed = abs(np.sum(d)) - rounding  # sums: the mean only divides both by n
    hits = 0
    for _ in range(n_resamples):
        flipped = np.where(rng.random(len(d)) < 0.5, -d, d)
        hits += abs(np.sum(flipped)) >= observed
    return float((1 + hits) / (1 + n_resamples))
