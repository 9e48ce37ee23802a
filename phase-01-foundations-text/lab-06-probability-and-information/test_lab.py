"""The marking scheme of lab 1.6: what each task must do, and how we know.

Oracles: scipy.special for task 1, scipy.stats and xlogy for task 2, torch's own loss
for task 3, exact fractions for task 4, the statistics module for task 5, scipy.stats
for tasks 6 and 7, and every sign pattern written out. What is drawn at random is
compared with a bound of five standard errors. Speed is never graded.
"""

from __future__ import annotations

import itertools
import math
import statistics
import warnings
from fractions import Fraction
from math import log
from types import SimpleNamespace

import numpy as np
import scipy.special
import scipy.stats

from common.grading import check, task

INF = math.inf
TIGHT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula, in float64


def five_errors(p, n):
    """Five standard errors of a share p found in n draws."""
    return 5 * math.sqrt(p * (1 - p) / n)


# --- Task 1 ----------------------------------------------------------------------

# exp of the rows is in the ratio 1 : 2 : 5 and 6 : 1 : 3
NEAR = [log(1), log(2), log(5)]
FAR = [1000 + log(6), 1000 + log(1), 1000 + log(3)]


@task(1)
def test_probabilities_of_a_near_and_a_far_row(lab):
    got = lab.softmax([NEAR, FAR])
    expected = np.array([[0.125, 0.25, 0.625], [0.6, 0.1, 0.3]])
    check.close(got, expected, **TIGHT)


@task(1)
def test_log_sum_of_a_near_and_a_far_row(lab):
    x = [NEAR, FAR]
    check.close(lab.logsumexp(x), np.array([log(8), 1000 + log(10)]), **TIGHT)
    got = lab.logsumexp(x, keepdims=True)
    check.close(got, np.array([[log(8)], [1000 + log(10)]]), **TIGHT, name="keepdims")
    got = np.asarray(lab.logsumexp(FAR)).reshape(1)  # a float, or an array without axes
    check.close(got, np.array([1000 + log(10)]), **TIGHT, name="vector")


@task(1)
def test_log_probability_of_a_hopeless_class(lab):
    got = lab.log_softmax([[1000.0, 0.0, 1000.0], [-20.0, -20.0, -2000.0]])
    expected = np.array([[0.0, -1000.0, 0.0], [0.0, 0.0, -1980.0]]) - log(2)
    check.close(got, expected, **TIGHT)


@task(1)
def test_every_axis_of_drawn_scores(lab, rng):
    x = rng.normal(size=(3, 5, 4)) * 30
    for axis in (0, 1, 2, -2):
        got = lab.softmax(x, axis=axis)
        check.close(got, scipy.special.softmax(x, axis=axis), **TIGHT, name="softmax")
        got = lab.log_softmax(x, axis=axis)
        wanted = scipy.special.log_softmax(x, axis=axis)
        check.close(got, wanted, **TIGHT, name="log_softmax")
        for keepdims in (False, True):
            got = lab.logsumexp(x, axis=axis, keepdims=keepdims)
            wanted = scipy.special.logsumexp(x, axis=axis, keepdims=keepdims)
            check.close(got, wanted, **TIGHT, name="logsumexp")


@task(1)
def test_a_shift_of_a_row_changes_nothing(lab, rng):
    x, shift = rng.normal(size=(7, 11)), rng.normal(size=(7, 1)) * 300
    got = lab.softmax(x + shift)
    check.close(got, lab.softmax(x), name="softmax")
    check.close(got.sum(axis=-1), np.ones(7), **TIGHT, name="sums of the rows")
    check.close(lab.logsumexp(x + shift), lab.logsumexp(x) + shift[:, 0], name="lse")


@task(1)
def test_no_warning_between_minus_and_plus_ten_thousand(lab, rng):
    x = rng.uniform(-1e4, 1e4, size=(6, 9))
    for name in ("logsumexp", "softmax", "log_softmax"):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            got = getattr(lab, name)(x)
        check.equal([str(w.message) for w in seen], [], name=f"warnings of {name}")
        check.close(got, getattr(scipy.special, name)(x, axis=-1), atol=1e-10)


@task(1)
def test_a_score_of_minus_infinity_is_probability_zero(lab):
    x = np.array([[log(3), -INF, 0.0], [-INF, 0.0, -INF]])
    check.close(lab.softmax(x), np.array([[0.75, 0, 0.25], [0, 1, 0]]), **TIGHT)
    expected = np.array([[log(0.75), -INF, log(0.25)], [-INF, 0.0, -INF]])
    check.close(lab.log_softmax(x), expected, **TIGHT)
    got = lab.logsumexp(np.array([[-INF, -INF], [2.0, -INF]]))
    check.close(got, np.array([-INF, 2.0]), **TIGHT)


@task(1)
def test_the_result_is_float64_whatever_comes_in(lab):
    third = np.full((2, 3), 1 / 3)
    check.close(lab.softmax([[7, 7, 7], [1, 1, 1]]), third, **TIGHT)
    check.close(lab.softmax(np.full((2, 3), 0.1, dtype=np.float32)), third, **TIGHT)
    check.close(lab.log_softmax([[0, 0, 0]]), np.full((1, 3), -log(3)), **TIGHT)
    check.close(lab.logsumexp([[0, 0, 0]]), np.array([log(3)]), **TIGHT)


# --- Task 2 ----------------------------------------------------------------------

P = [1 / 2, 1 / 4, 1 / 8, 1 / 8, 0]
Q = [1 / 8, 1 / 2, 1 / 8, 1 / 8, 1 / 8]


@task(2)
def test_bits_of_five_outcomes(lab):
    check.close(lab.entropy(P, base=2), 1.75, **TIGHT, name="entropy")
    check.close(lab.cross_entropy(P, Q, base=2), 2.5, **TIGHT, name="cross-entropy")
    check.close(lab.kl_divergence(P, Q, base=2), 0.75, **TIGHT, name="KL")


@task(2)
def test_nats_are_the_default(lab):
    check.close(lab.entropy(P), 1.75 * log(2), **TIGHT, name="entropy")
    check.close(lab.cross_entropy(P, Q), 2.5 * log(2), **TIGHT, name="cross-entropy")
    check.close(lab.kl_divergence(P, Q), 0.75 * log(2), **TIGHT, name="KL")


@task(2)
def test_what_was_impossible_and_happens(lab):
    check.close(lab.cross_entropy(Q, P), INF, name="cross-entropy")
    check.close(lab.kl_divergence(Q, P), INF, name="KL")
    check.close(lab.cross_entropy([1.0, 0.0], [0.0, 1.0]), INF, name="certain")


@task(2)
def test_drawn_distributions(lab, rng):
    for k, base in ((2, math.e), (5, 2), (13, 10), (301, math.e)):
        p, q = rng.dirichlet(np.full(k, 0.6), size=2)
        p[k // 2] = 0.0
        p /= p.sum()
        got = lab.entropy(p, base=base)
        check.close(got, scipy.stats.entropy(p, base=base), **TIGHT, name="entropy")
        got = lab.kl_divergence(p, q, base=base)
        check.close(got, scipy.stats.entropy(p, q, base=base), **TIGHT, name="KL")
        got = lab.cross_entropy(p, q, base=base)
        wanted = -scipy.special.xlogy(p, q).sum() / log(base)
        check.close(got, wanted, **TIGHT, name="cross-entropy")


@task(2)
def test_how_the_three_hang_together(lab, rng):
    p, q = rng.dirichlet(np.ones(6), size=2)
    h, kl = lab.entropy(p), lab.kl_divergence(p, q)
    check.close(lab.cross_entropy(p, q), h + kl, **TIGHT, name="H(p, q) = H(p) + KL")
    check.that(kl > 1e-6, "KL above 0 where p and q differ", kl)
    check.close(lab.kl_divergence(p, p), 0.0, **TIGHT, name="KL of p and p")
    check.close(lab.entropy(np.full(6, 1 / 6)), log(6), **TIGHT, name="uniform")
    check.that(h < log(6), "below log K where p is not uniform", h)
    check.close(lab.entropy([0.0, 1.0, 0.0]), 0.0, **TIGHT, name="certain")


@task(2)
def test_what_is_no_distribution(lab):
    good = [0.5, 0.5]
    for bad in ([0.5, 0.6], [1.5, -0.5], [math.nan, 1.0], [0.5, 0.5 + 1e-7]):
        check.raises(ValueError, lambda bad=bad: lab.entropy(bad), match="p")
        for function in (lab.cross_entropy, lab.kl_divergence):
            check.raises(ValueError, lambda f=function, b=bad: f(b, good), match="p")
            check.raises(ValueError, lambda f=function, b=bad: f(good, b), match="q")
    three = [0.2, 0.3, 0.5]
    for function in (lab.cross_entropy, lab.kl_divergence):
        check.raises(ValueError, lambda f=function: f(good, three), match="q")
    check.close(lab.entropy([0.5, 0.5 + 1e-11]), log(2), name="rounding is allowed")


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_losses_of_two_tokens(lab):
    got = lab.token_nll([NEAR, FAR], [2, 0])
    check.close(got, np.array([-log(0.625), -log(0.6)]), **TIGHT)
    got = lab.token_nll([[900.0, 0.0, -50.0]], [1])
    check.close(got, np.array([900.0]), **TIGHT, name="hopeless")


@task(3)
def test_perplexity_of_two_tokens(lab):
    check.close(lab.perplexity([log(2), log(8)]), 4.0, **TIGHT)


@task(3)
def test_bits_per_byte_of_two_tokens(lab):
    check.close(lab.bits_per_byte([log(8), log(32)], 16), 0.5, **TIGHT)


@task(3)
def test_losses_of_drawn_scores(lab, rng):
    logits, targets = rng.normal(size=(17, 6)) * 20, rng.integers(6, size=17)
    got = lab.token_nll(logits, targets)
    by_row = scipy.special.log_softmax(logits, axis=1)
    expected = [-by_row[i, k] for i, k in enumerate(targets)]
    check.close(got, np.array(expected), **TIGHT)


@task(3)
def test_a_model_that_knows_nothing_hesitates_among_all(lab):
    nll = lab.token_nll(np.zeros((5, 27)), np.array([0, 26, 3, 3, 11]))
    check.close(lab.perplexity(nll), 27.0, **TIGHT)
    bits = float(nll.mean() / log(2))
    check.close(lab.perplexity(nll), 2**bits, **TIGHT, name="from bits")


@task(3)
def test_other_tokens_of_the_same_text(lab, rng):
    nll = rng.exponential(size=12)
    fine = lab.bits_per_byte(nll, 31)
    coarse = lab.bits_per_byte(np.add.reduceat(nll, [0, 2, 3, 7]), 31)
    check.close(fine, nll.sum() / log(2) / 31, **TIGHT, name="12 tokens")
    check.close(coarse, fine, **TIGHT, name="the same text in 4 tokens")


@task(3)
def test_scores_and_targets_that_do_not_fit(lab):
    logits = np.zeros((4, 3))
    for bad in ([0, 1, 2, 3], [0, -1, 2, 0], [0, 1, 2], [1], [[0, 1, 2, 0]]):
        targets = np.array(bad)
        check.raises(
            ValueError, lambda t=targets: lab.token_nll(logits, t), match="targets"
        )
    check.raises(
        ValueError, lambda: lab.token_nll(np.zeros(3), np.array([0])), match="logits"
    )
    check.raises(ValueError, lambda: lab.perplexity([]), match="nll")
    check.raises(ValueError, lambda: lab.bits_per_byte([1.0], 0), match="n_bytes")
    got = lab.token_nll(logits, np.array([0, 1, 2, 2]))
    check.close(got, np.full(4, log(3)), **TIGHT)


@task(3)
def test_the_mean_is_the_loss_of_torch(lab, rng):
    # torch takes seconds to load, so what is wrong anyway is to fail before that
    far = lab.token_nll([[900.0, 0.0, -50.0]], [1])
    check.close(far, np.array([900.0]), **TIGHT, name="before torch: loss")
    check.close(lab.perplexity([log(2), log(8)]), 4.0, name="before torch: perplexity")
    bits = lab.bits_per_byte([log(8), log(32)], 16)
    check.close(bits, 0.5, name="before torch: bits per byte")
    logits, targets = rng.normal(size=(19, 7)) * 9, rng.integers(7, size=19)
    nll = lab.token_nll(logits, targets)
    check.equal(np.shape(nll), (19,), name="shape")
    import torch

    wanted = torch.nn.functional.cross_entropy(
        torch.tensor(logits), torch.tensor(targets)
    ).item()
    check.close(float(np.mean(nll)), wanted, **TIGHT, name="mean")
    check.close(lab.perplexity(nll), math.exp(wanted), **TIGHT, name="perplexity")


# --- Task 4 ----------------------------------------------------------------------


def exact_posterior(prior, rows):
    """Prior times all likelihoods over their sum, in exact fractions."""
    joint = [
        Fraction(p) * math.prod(Fraction(row[h]) for row in rows)
        for h, p in enumerate(prior)
    ]
    return np.array([float(weight / sum(joint)) for weight in joint])


@task(4)
def test_three_hypotheses_after_one_observation(lab):
    got = lab.bayes_posterior([0.2, 0.3, 0.5], [0.5, 0.5, 0.1])
    check.close(got, np.array([1 / 3, 1 / 2, 1 / 6]), **TIGHT)


@task(4)
def test_three_hypotheses_after_two_observations(lab):
    got = lab.bayes_posterior([0.2, 0.3, 0.5], [[0.5, 0.5, 0.1], [0.25, 0.1, 0.5]])
    check.close(got, np.array([0.025, 0.015, 0.025]) / 0.065, **TIGHT)


@task(4)
def test_exact_fractions_of_drawn_observations(lab, rng):
    for n, h in ((1, 5), (6, 2), (23, 4)):
        prior = rng.multinomial(64, np.full(h, 1 / h)) / 64  # exact in binary
        rows = rng.integers(1, 100, size=(n, h)) / 64  # densities may be above 1
        got = lab.bayes_posterior(prior, rows)
        check.close(got, exact_posterior(prior.tolist(), rows.tolist()), **TIGHT)


@task(4)
def test_thousands_of_observations(lab):
    heads, tails = [0.4, 0.6], [0.6, 0.4]
    rows = np.array([heads] * 3001 + [tails] * 3000)
    expected = np.array([0.4, 0.6])  # all but one head cancel
    for order, name in ((rows, "heads first"), (rows[::-1], "tails first")):
        try:
            got = lab.bayes_posterior([0.5, 0.5], order)
        except ValueError:
            got = "a ValueError"
        check.close(got, expected, name=name)


@task(4)
def test_what_was_excluded_stays_excluded(lab):
    got = lab.bayes_posterior([0.0, 0.25, 0.75], [[0.9, 0.5, 0.5], [0.9, 0.0, 0.5]])
    check.close(got, np.array([0.0, 0.0, 1.0]), **TIGHT)


@task(4)
def test_beliefs_that_make_no_sense(lab):
    half = [0.5, 0.5]
    for likelihood in ([0.1, 0.2, 0.3], [0.1, -0.2], [0.1, math.nan], [0.0, 0.0]):
        check.raises(
            ValueError,
            lambda x=likelihood: lab.bayes_posterior(half, x),
            match="likelihood",
        )
    check.raises(
        ValueError, lambda: lab.bayes_posterior([0.5, 0.6], [1, 1]), match="prior"
    )
    check.close(lab.bayes_posterior(half, [1, 1]), np.array(half), **TIGHT)


# --- Task 5 ----------------------------------------------------------------------


def pushed(lab, values):
    """Moments of `values`, pushed one by one as Python floats."""
    moments = lab.RunningMoments()
    for value in values:
        moments.push(float(value))
    return moments


def compare(moments, count, mean, variance, name=""):
    """Check what can be asked of moments of at least two numbers."""
    where = f" of {name}" if name else ""
    check.equal(moments.count, count, name=f"count{where}")
    check.close(float(moments.mean), mean, **TIGHT, name=f"mean{where}")
    got = float(moments.variance())
    check.close(got, variance, **TIGHT, name=f"variance{where}")


@task(5)
def test_moments_of_three_numbers(lab):
    moments = pushed(lab, [2, 4, 9])
    compare(moments, 3, 5.0, 13.0)
    check.close(float(moments.variance(ddof=0)), 26 / 3, **TIGHT, name="with ddof=0")


@task(5)
def test_moments_of_two_parts(lab):
    left, right = pushed(lab, [2, 4]), pushed(lab, [9, 8, 12])
    compare(left.merge(right), 5, 7.0, 16.0, name="both")
    compare(left, 2, 3.0, 2.0, name="the first part, as before")
    compare(right, 3, 29 / 3, 13 / 3, name="the second part, as before")


@task(5)
def test_small_spread_around_a_large_mean(lab):
    got = pushed(lab, [1e8 + 1, 1e8 + 2, 1e8 + 3]).variance(ddof=0)
    check.close(float(got), 2 / 3, name="variance")


@task(5)
def test_drawn_numbers(lab, rng):
    values = (rng.normal(size=57) * 30 + 1000).tolist()
    got = pushed(lab, values)
    compare(got, 57, statistics.mean(values), statistics.variance(values))


@task(5)
def test_parts_in_any_grouping(lab, rng):
    values = rng.exponential(size=29) * 7 - 3
    a, b, c = (pushed(lab, part) for part in np.split(values, [4, 15]))
    wanted = 29, float(values.mean()), float(values.var(ddof=1))
    compare(a.merge(b).merge(c), *wanted, name="(a, b), c")
    compare(a.merge(b.merge(c)), *wanted, name="a, (b, c)")
    more = a.merge(b).merge(c)
    more.push(50.0)
    values = np.append(values, 50.0)
    compare(more, 30, float(values.mean()), float(values.var(ddof=1)), name="one more")


@task(5)
def test_empty_parts(lab):
    some = pushed(lab, [1.0, 5.0])
    compare(some.merge(lab.RunningMoments()), 2, 3.0, 8.0, name="some and none")
    both = lab.RunningMoments().merge(some)
    compare(both, 2, 3.0, 8.0, name="none and some")
    both.push(9.0)
    compare(some, 2, 3.0, 8.0, name="some, after a push into the merged")
    none = lab.RunningMoments().merge(lab.RunningMoments())
    check.equal((none.count, float(none.mean)), (0, 0.0), name="both")


@task(5)
def test_too_few_numbers_for_a_variance(lab):
    for n, ddof in ((0, 0), (1, 1), (3, 3), (3, 4)):
        moments = pushed(lab, range(n))
        check.raises(ValueError, lambda m=moments, d=ddof: m.variance(d), match="ddof")
    check.close(float(pushed(lab, [7.0]).variance(ddof=0)), 0.0, name="of one number")


# --- Task 6 ----------------------------------------------------------------------


class Answers:
    """A statistic that ignores its sample and gives the next of some numbers."""

    def __init__(self, numbers):
        self.numbers = iter(numbers)

    def __call__(self, sample):
        return next(self.numbers, -1e9)


class Watching:
    """The mean, with a note of every sample that came."""

    def __init__(self):
        self.samples = []

    def __call__(self, sample):
        self.samples.append(np.array(sample, dtype=float).ravel())
        return float(np.mean(sample))


@task(6)
def test_interval_of_seven_numbers(lab, rng):
    # A resample's mean is twice the number of 14s in it, and that is binomial: at most
    # two in 93.5 % of all resamples, at most three in 99.0 %. So 96 % lies at three.
    x = [0, 0, 0, 0, 0, 0, 14]
    got = lab.bootstrap_ci(x, level=0.92, n_resamples=6000, rng=rng)
    check.close(tuple(got), (0.0, 6.0))


@task(6)
def test_interval_lies_between_the_quantiles(lab, rng):
    for n_resamples, level in ((101, 0.9), (37, 0.5), (250, 0.95)):
        numbers = rng.permutation(n_resamples).astype(float) ** 2
        got = lab.bootstrap_ci(
            [3, 3, 3],
            Answers(numbers),
            level=level,
            n_resamples=n_resamples,
            rng=rng,
        )
        wanted = scipy.stats.bootstrap(
            ([3, 3, 3],),
            lambda sample: 9.0,  # not called: the distribution is given
            n_resamples=0,
            bootstrap_result=SimpleNamespace(bootstrap_distribution=numbers),
            confidence_level=level,
            method="percentile",
            vectorized=False,
        ).confidence_interval
        check.close(tuple(got), (float(wanted.low), float(wanted.high)), **TIGHT)


@task(6)
def test_resamples_are_as_long_as_the_data_and_repeat_values(lab, rng):
    x, watching, n = rng.normal(size=13), Watching(), 2000
    low, high = lab.bootstrap_ci(x, watching, n_resamples=n, rng=rng)
    samples = watching.samples
    check.equal(len(samples), n, name="calls of the statistic")
    check.equal({len(s) for s in samples}, {13}, name="lengths of the resamples")
    drawn = np.stack(samples)
    check.that(bool(np.isin(drawn, x).all()), "only values of x in a resample")
    whole = sum(len(set(s.tolist())) == 13 for s in samples)
    check.that(whole < 10, "nearly every resample repeats a value")
    uses = np.array([np.sum(drawn == value) for value in x])
    far = np.abs(uses - n).max() / math.sqrt(n * 12 / 13)
    check.that(bool(far < 6), "each value is drawn as often as the others")
    check.that(low < x.mean() < high, "the mean of the data inside")


@task(6)
def test_the_same_generator_gives_the_same_interval(lab, rng):
    x = np.round(rng.exponential(size=21) * 1024) / 1024  # sums without rounding
    first, again, other = (
        tuple(lab.bootstrap_ci(x, n_resamples=300, rng=np.random.default_rng(seed)))
        for seed in (5, 5, 6)
    )
    check.that(first == again, "the same interval from the same seed")
    check.that(first != other, "another interval from another seed")


@task(6)
def test_intervals_that_make_no_sense(lab, rng):
    def interval(x=(1, 2, 3), level=0.9, n_resamples=20):
        return lab.bootstrap_ci(x, level=level, n_resamples=n_resamples, rng=rng)

    for level in (0, 1, 95):
        check.raises(ValueError, lambda v=level: interval(level=v), match="level")
    check.raises(ValueError, lambda: interval(n_resamples=0), match="n_resamples")
    check.raises(ValueError, lambda: interval(x=[]), match="x")
    check.raises(ValueError, lambda: interval(x=[[1, 2], [3, 4]]), match="x")
    check.close(tuple(interval(x=[4, 4, 4])), (4.0, 4.0), name="equal numbers")


# --- Task 7 ----------------------------------------------------------------------

# The differences are 0, 1, 2, 3, 4: of the 32 sign patterns, two give +10 and two -10.
A = [35, 78, 14, 62, 51]
B = [35, 77, 12, 59, 47]


def every_pattern(d):
    """Share of all sign patterns of whole numbers that reach as far as their sum."""
    patterns = itertools.product((1, -1), repeat=len(d))
    sums = [abs(sum(s * v for s, v in zip(p, d, strict=True))) for p in patterns]
    return sum(total >= abs(sum(d)) for total in sums) / len(sums)


@task(7)
def test_chance_of_five_pairs(lab, rng):
    n = 20_000
    got = lab.paired_permutation_test(A, B, n_resamples=n, rng=rng)
    check.close(got, 0.125, rtol=0, atol=five_errors(0.125, n))


@task(7)
def test_no_p_value_is_zero(lab, rng):
    a, b = rng.normal(size=60) + 1000, rng.normal(size=60)  # no flip comes near
    got = lab.paired_permutation_test(a, b, n_resamples=99, rng=rng)
    check.close(got, 1 / 100, **TIGHT)


@task(7)
def test_drawn_pairs(lab, rng):
    # multiples of 1/8: every sum is exact, so nothing rests on anyone's rounding
    a, b, n = rng.integers(-16, 24, 9) / 8, rng.integers(-20, 20, 9) / 8, 20_000
    got = lab.paired_permutation_test(a, b, n_resamples=n, rng=rng)
    wanted = scipy.stats.permutation_test(  # all 512 patterns
        (a, b),
        lambda x, y, axis: np.sum(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    ).pvalue
    atol = five_errors(wanted, n) + 1 / n
    check.close(got, float(wanted), rtol=0, atol=atol, name="a, b")
    got = lab.paired_permutation_test(b, a, n_resamples=n, rng=rng)
    check.close(got, float(wanted), rtol=0, atol=atol, name="b, a")


@task(7)
def test_means_that_differ_by_rounding_alone(lab, rng):
    a = [0.7, 0.5, 0.6, 0.2, 0.6, 0.2, 0.2]
    b = [0.8, 0.6, 0.5, 0.4, 0.5, 0.1, 0.4]
    n = 20_000
    got = lab.paired_permutation_test(a, b, n_resamples=n, rng=rng)
    tenths = [round(10 * x) - round(10 * y) for x, y in zip(a, b, strict=True)]
    wanted = every_pattern(tenths)  # 76 of 128
    check.close(got, wanted, rtol=0, atol=five_errors(wanted, n) + 1 / n)


@task(7)
def test_no_difference_at_all(lab, rng):
    got = lab.paired_permutation_test([1, 0, 1, 1], [1, 0, 1, 1], rng=rng)
    check.close(got, 1.0, **TIGHT)


@task(7)
def test_pairs_that_do_not_fit(lab, rng):
    def p_value(a=(1, 2, 3), b=(3, 2, 1), n_resamples=20):
        return lab.paired_permutation_test(a, b, n_resamples=n_resamples, rng=rng)

    check.raises(ValueError, lambda: p_value(b=[1, 2]), match="b")
    check.raises(ValueError, lambda: p_value(b=[1]), match="b")
    check.raises(ValueError, lambda: p_value(a=[], b=[]), match="a")
    check.raises(ValueError, lambda: p_value(n_resamples=0), match="n_resamples")
    check.close(p_value(b=[1, 2, 3]), 1.0, name="equal scores")
