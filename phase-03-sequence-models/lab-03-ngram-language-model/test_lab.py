"""The marking scheme of lab 3.3: what each task must do, and how we know.

Oracles: texts scanned position by position for every count, the textbook formulas on
top of that, closed forms (entropy, a deterministic source, the marginal identity of
Kneser-Ney), expectation maximisation in plain loops, a grid search for its optimum, and
a chi-square test for the sampler. What is drawn is compared at p > 1e-6, from
generators with a fixed seed. Speed and training results are never graded.
"""

from __future__ import annotations

import math
from itertools import pairwise
from math import log

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common import datasets
from common.grading import check, needs_data, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64
ABCAB = [0, 1, 2, 0, 1]  # the text "abcab"


# --- Oracles: everything is found by scanning the text ----------------------------


def windows(ids, n):
    """All runs of n symbols, as tuples, in the order of the text."""
    return [tuple(int(i) for i in ids[s : s + n]) for s in range(len(ids) - n + 1)]


def followers(ids, h):
    """What came directly after each occurrence of h, one entry for each."""
    n = len(h)
    return [g[-1] for g in windows(ids, n + 1) if g[:n] == tuple(h)]


def before(ids, gram):
    """The different symbols that came directly before gram."""
    return {g[0] for g in windows(ids, len(gram) + 1) if g[1:] == tuple(gram)}


def tail(context, order):
    """The last order - 1 symbols, or all where there are fewer."""
    context = [int(i) for i in context]
    while len(context) > order - 1:
        context = context[1:]
    return tuple(context)


def add_k(ids, order, k, V, context):
    """The distribution as the docstring of AddK has it."""
    came = followers(ids, tail(context, order))
    if not came and k == 0:
        return [1 / V] * V
    return [(came.count(w) + k) / (len(came) + k * V) for w in range(V)]


def opinions(ids, order, V, w, context):
    """What the orders 0 to `order` say of w: maximum likelihood, or the order below."""
    h = tail(context, order)
    found = [1 / V]
    for n in range(1, order + 1):
        came = followers(ids, h[len(h) - n + 1 :]) if len(h) >= n - 1 else []
        found.append(came.count(w) / len(came) if came else found[-1])
    return found


def kneser_ney(ids, order, D, V, h):
    """The distribution after h, from the longest context down, as the papers have it.

    D: a discount for each order, D[0] for order 1. h: at most order - 1 symbols.
    """
    if h is None:
        return [1 / V] * V
    shorter = kneser_ney(ids, order, D, V, h[1:] if h else None)
    if len(h) == order - 1:
        counts = [followers(ids, h).count(w) for w in range(V)]
    else:
        counts = [len(before(ids, (*h, w))) for w in range(V)]
    total, types, d = sum(counts), sum(c > 0 for c in counts), D[len(h)]
    if total == 0:
        return shorter
    return [
        (max(c - d, 0) + d * types * s) / total
        for c, s in zip(counts, shorter, strict=True)
    ]


@st.composite
def corpora(draw):
    """A text of 2 to 5 symbols, an order, and a context, seen or not, long or empty."""
    V = draw(st.integers(2, 5))
    symbols = st.integers(0, V - 1)
    ids = draw(st.lists(symbols, max_size=20))
    context = draw(st.lists(symbols, max_size=5))
    if draw(st.booleans()) and len(ids) > 4:  # a context that certainly was seen
        end = draw(st.integers(1, len(ids) - 1))
        context = ids[max(0, end - 3) : end]
    return ids, draw(st.integers(1, 4)), V, context


def distribution(model, context, expected, name):
    """`probs` and `prob` of a model agree with the oracle, and are a distribution."""
    got = model.probs(context)
    check.close(got, np.array(expected), **EXACT, name=name)
    check.that(bool((got >= 0).all()), "no negative probability", got, name=name)
    check.close(float(sum(got)), 1.0, rtol=0, atol=1e-12, name=f"sum of {name}")
    w = len(expected) - 1
    check.close(model.prob(w, context), expected[w], **EXACT, name="prob(last symbol)")


def markov_text(rng, V, n):
    """A text in which each symbol depends on the one before it."""
    rows = rng.dirichlet(np.full(V, 0.4), size=V)
    ids = [int(rng.integers(V))]
    for _ in range(n - 1):
        ids.append(int(rng.choice(V, p=rows[ids[-1]])))
    return ids


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_pairs_of_abcab(lab):
    got = dict(lab.count_ngrams(ABCAB, 2))
    check.equal(got, {(0, 1): 2, (1, 2): 1, (2, 0): 1})


@task(1)
def test_contexts_of_abcab(lab):
    counts = {(0, 1): 2, (1, 2): 1, (1, 0): 5, (2, 0): 1}
    got = {h: dict(f) for h, f in lab.by_context(counts).items()}
    check.equal(got, {(0,): {1: 2}, (1,): {2: 1, 0: 5}, (2,): {0: 1}})
    got = {h: dict(f) for h, f in lab.by_context({(4,): 3, (1,): 2}).items()}
    check.equal(got, {(): {4: 3, 1: 2}}, name="n-grams of one symbol")
    got = {h: dict(f) for h, f in lab.by_context({(6, 4, 5, 7): 3}).items()}
    check.equal(got, {(6, 4, 5): {7: 3}}, name="n-grams of four")
    check.equal(dict(lab.by_context({})), {}, name="no n-grams")


@task(1)
def test_counts_of_a_drawn_text_by_scanning_it(lab, rng):
    ids = rng.integers(0, 3, 47)
    for order in (1, 2, 3, 5):
        found = windows(ids, order)
        expected = {gram: found.count(gram) for gram in found}
        check.equal(dict(lab.count_ngrams(ids, order)), expected, name=f"{order=}")
        check.equal(dict(lab.count_ngrams(ids.tolist(), order)), expected, name="list")


@task(1)
def test_texts_that_are_just_long_enough_or_too_short(lab):
    check.equal(dict(lab.count_ngrams([4, 2, 4], 3)), {(4, 2, 4): 1})
    check.equal(dict(lab.count_ngrams([4, 2, 4], 4)), {})
    check.equal(dict(lab.count_ngrams([], 1)), {})


@task(1)
def test_an_order_below_one_is_refused(lab):
    for order in (0, -1):
        call = lambda order=order: lab.count_ngrams(ABCAB, order)  # noqa: E731
        check.raises(ValueError, call, match="order")
    check.equal(dict(lab.count_ngrams([6], 1)), {(6,): 1})


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_an_ngram_model_looks_back_one_symbol_less(lab):
    for order, expected in [(3, (5, 6)), (2, (6,)), (1, ()), (4, (4, 5, 6))]:
        model = lab.AddK(order, 1.0, 9)
        check.equal(model.context([3, 4, 5, 6]), expected, name=f"context, {order=}")
    model = lab.AddK(4, 1.0, 9)
    check.equal(model.context([7]), (7,), name="shorter than order - 1")
    check.equal(model.context(()), (), name="empty")
    got = model.context(np.array([1, 2, 3, 4, 5]))
    check.equal(tuple(int(i) for i in got), (3, 4, 5), name="of an array")


@task(2)
def test_add_one_on_abcab(lab):
    model, called = lab.AddK(2, 1.0, 3).fit(ABCAB), 'AddK(2, 1.0, 3).fit("abcab")'
    # after a: b twice. After b: c once; its second b ends the text and has no follower
    expected = np.array([1, 3, 1]) / 5
    check.close(model.probs([0]), expected, **EXACT, input=f"{called}.probs(a)")
    expected = np.array([1, 1, 2]) / 4
    check.close(model.probs([1]), expected, **EXACT, input=f"{called}.probs(b)")
    check.close(model.prob(1, [0]), 0.6, **EXACT, input=f"{called}.prob(b, after a)")
    model, called = lab.AddK(1, 0.5, 3).fit(ABCAB), 'AddK(1, 0.5, 3).fit("abcab")'
    expected = np.array([5, 5, 3]) / 13
    check.close(model.probs([2]), expected, **EXACT, input=f"{called}.probs(c)")


@task(2)
def test_maximum_likelihood_has_zeros_and_no_opinion(lab):
    model = lab.AddK(3, 0.0, 3).fit(ABCAB)
    check.close(model.probs([0, 1]), np.array([0.0, 0.0, 1.0]), **EXACT, name="seen")
    third = np.full(3, 1 / 3)
    check.close(model.probs([2, 2]), third, **EXACT, name="never seen, k = 0")
    check.close(lab.AddK(2, 0.0, 3).fit([]).probs([]), third, **EXACT, name="no text")


@task(2)
@settings(max_examples=25)
@given(corpora(), st.sampled_from([0.0, 0.01, 0.5, 1.0, 3.0]))
def test_add_k_of_drawn_texts(lab, drawn, k):
    ids, order, V, context = drawn
    model = lab.AddK(order, k, V).fit(ids)
    distribution(model, context, add_k(ids, order, k, V, context), "probs")


@task(2)
def test_every_context_of_a_longer_text(lab, rng):
    ids = rng.integers(0, 4, 200)
    model = lab.AddK(3, 0.3, 4).fit(ids)
    for h in [(a, b) for a in range(4) for b in range(4)]:
        got, expected = model.probs([1, *h]), add_k(ids, 3, 0.3, 4, h)
        check.close(got, np.array(expected), **EXACT, name=f"after {h}")
    check.close(model.probs([2]), np.array(add_k(ids, 3, 0.3, 4, [2])), **EXACT)


@task(2)
def test_a_second_fit_replaces_the_first(lab):
    model = lab.AddK(2, 1.0, 3).fit([1, 1, 2, 0, 0])
    model.probs([0])
    expected = np.array([1, 3, 1]) / 5
    check.close(model.fit(ABCAB).probs([0]), expected, **EXACT, name="abcab after a")


# --- Task 3 ----------------------------------------------------------------------


class Fixed:
    """A model of the grader: the same probabilities whatever came before."""

    order = 1

    def __init__(self, p):
        self.p = np.array(p, dtype=float)

    def prob(self, w, context=()):
        return float(self.p[w])

    def probs(self, context=()):
        return self.p.copy()


class Mixing:
    """A model of the grader whose answers depend on all that it may look at."""

    vocab_size = 6

    def __init__(self, order):
        self.order = order

    def prob(self, w, context=()):
        seen = tail(context, self.order)
        key = sum((s + 1) * 7**place for place, s in enumerate(reversed(seen)))
        return 1 / (2 + w + key)


@task(3)
def test_a_half_a_quarter_and_an_eighth(lab):
    model, ids = Fixed([1 / 2, 1 / 4, 1 / 8, 1 / 8]), [0, 1, 2]
    got = lab.token_probs(model, ids)
    check.close(got, np.array([0.5, 0.25, 0.125]), **EXACT, name="token_probs")
    check.close(lab.cross_entropy(model, ids), log(4), **EXACT, name="cross_entropy")


@task(3)
def test_four_choices_are_two_bits(lab):
    check.close(lab.perplexity(log(4)), 4.0, **EXACT, name="perplexity(log 4)")
    check.close(lab.bits_per_char(log(4)), 2.0, **EXACT, name="bits_per_char(log 4)")
    for nats in (0.0, 1.0, 2.5):
        bits = lab.bits_per_char(nats)
        check.close(bits, nats * math.log2(math.e), **EXACT, name="bits of nats")
        check.close(lab.perplexity(nats), 2**bits, **EXACT, name="perplexity of nats")


@task(3)
def test_uniform_model_hesitates_between_all_symbols(lab, rng):
    for V in (3, 65):
        nats = lab.cross_entropy(Fixed([1 / V] * V), rng.integers(0, V, 31))
        check.close(nats, log(V), **EXACT, name=f"uniform over {V}")


@task(3)
def test_own_frequencies_give_the_entropy_and_others_more(lab, rng):
    ids = rng.choice(5, size=83, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    p = np.bincount(ids, minlength=5) / len(ids)
    entropy = -sum(share * log(share) for share in p if share > 0)
    check.close(lab.cross_entropy(Fixed(p), ids), entropy, **EXACT, name="entropy")
    for _ in range(5):
        q = rng.dirichlet(np.ones(5))
        got = lab.cross_entropy(Fixed(q), ids)
        extra = sum(a * log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
        check.close(got, entropy + extra, **EXACT, name="entropy + KL")
        check.that(got >= entropy, "never below the entropy", got)


@task(3)
def test_every_position_sees_what_came_before_it(lab, rng):
    for ids in (rng.integers(0, 6, 23), rng.integers(0, 6, 9).tolist()):
        for order in (1, 2, 4):
            model = Mixing(order)
            for start in (0, 1, 5, len(ids) - 1):
                expected = [
                    model.prob(int(ids[i]), ids[:i]) for i in range(start, len(ids))
                ]
                got = lab.token_probs(model, ids, start)
                name = f"token_probs, {order=}, {start=}"
                check.close(got, np.array(expected), **EXACT, name=name)
                nats = lab.cross_entropy(model, ids, start)
                mean = -sum(log(p) for p in expected) / len(expected)
                check.close(nats, mean, **EXACT, name=f"nats, {order=}, {start=}")


@task(3)
def test_a_text_whose_probability_is_too_small_for_a_float(lab):
    nats = lab.cross_entropy(Fixed([1 / 8] * 8), [3, 5] * 300)  # 8 ** -600
    called = "cross_entropy(uniform over 8, [3, 5] * 300)"
    check.close(nats, log(8), **EXACT, input=called)


@task(3)
def test_one_zero_is_an_infinite_loss(lab):
    got = lab.cross_entropy(Fixed([0.5, 0.5, 0.0]), [0, 1, 0, 2, 1])
    check.equal(got, math.inf)


@task(3)
def test_a_start_that_leaves_nothing(lab):
    model = Fixed([0.5, 0.5])
    check.raises(ValueError, lambda: lab.token_probs(model, [0, 1], 2), match="start")
    check.raises(ValueError, lambda: lab.token_probs(model, [0, 1], -1), match="start")
    check.raises(ValueError, lambda: lab.cross_entropy(model, []), match="start")
    check.close(lab.cross_entropy(model, [0, 1], 1), log(2), **EXACT, name="one left")


# --- Task 4 ----------------------------------------------------------------------


def em(p, lambdas, iters):
    """Expectation maximisation in loops: weights and losses, iters + 1 of them."""
    lambdas, losses = list(lambdas), []
    for iteration in range(iters + 1):
        sums, loss = [0.0] * len(lambdas), 0.0
        for row in p:
            joint = [weight * x for weight, x in zip(lambdas, row, strict=True)]
            loss -= log(sum(joint))
            sums = [s + x / sum(joint) for s, x in zip(sums, joint, strict=True)]
        losses.append(loss / len(p))
        if iteration < iters:
            lambdas = [s / len(p) for s in sums]
    return lambdas, losses


def opinions_on(ids, order, V, text):
    """`opinions` for every position of a text."""
    return [opinions(ids, order, V, w, text[:i]) for i, w in enumerate(text)]


@task(4)
def test_opinions_on_abcab(lab):
    model = lab.Interpolated(3, 3, [0.1, 0.2, 0.3, 0.4]).fit(ABCAB)
    called = 'Interpolated(3, 3, lambdas).fit("abcab")'
    for w, h, said, name in [
        (1, (2, 0), [1 / 3, 2 / 5, 1, 1], "b, after ca"),
        (0, (1, 1), [1 / 3, 2 / 5, 0, 0], "a, after bb"),  # never seen: as order 2
        (2, (), [1 / 3, 1 / 5, 1 / 5, 1 / 5], "c, after nothing"),
    ]:
        got = np.array(model.components(w, h), dtype=float)
        shown = f"{called}.components({name})"
        check.close(got, np.array(said), **EXACT, name=name, input=shown)
    b = 0.1 / 3 + 0.2 * 2 / 5 + 0.3 + 0.4
    shown = f"{called}.prob(b, after bca), lambdas = (0.1, 0.2, 0.3, 0.4)"
    check.close(model.prob(1, [1, 2, 0]), b, **EXACT, input=shown)


@task(4)
def test_one_step_of_em_by_hand(lab):
    model = lab.Interpolated(1, 2).fit([0, 0, 1, 0])
    # uniform: 1/2, unigram: 3/4; with weights 1/2 and 1/2 the shares are 2/5 and 3/5
    losses = model.fit_lambdas([0], iters=1)
    check.close(np.array(model.lambdas), np.array([0.4, 0.6]), **EXACT, name="lambdas")
    expected = [-log(0.625), -log(0.65)]
    check.close(list(losses), expected, **EXACT, name="nats before and after")


@task(4)
@settings(max_examples=25)
@given(corpora(), st.data())
def test_interpolation_of_drawn_texts(lab, drawn, data):
    ids, order, V, context = drawn
    parts = data.draw(
        st.lists(st.integers(1, 9), min_size=order + 1, max_size=order + 1)
    )
    lambdas = [part / sum(parts) for part in parts]
    model = lab.Interpolated(order, V, lambdas).fit(ids)
    expected = [
        sum(a * b for a, b in zip(lambdas, said, strict=True))
        for said in (opinions(ids, order, V, w, context) for w in range(V))
    ]
    distribution(model, context, expected, "probs")


@task(4)
def test_em_of_drawn_texts_step_by_step(lab, rng):
    ids, heldout = markov_text(rng, 4, 70), markov_text(rng, 4, 29)
    start = rng.dirichlet(np.full(4, 5.0))
    p = opinions_on(ids, 3, 4, heldout)
    for iters in (0, 1, 7):
        model = lab.Interpolated(3, 4, start).fit(ids)
        losses = model.fit_lambdas(heldout, iters=iters)
        lambdas, expected = em(p, start, iters)
        check.close(np.array(model.lambdas), np.array(lambdas), **EXACT, name="lambdas")
        check.close(list(losses), expected, **EXACT, name=f"losses, {iters=}")
        falling = all(b <= a + 1e-12 for a, b in pairwise(losses))
        check.that(falling, "the loss never rises", list(losses))


@task(4)
def test_em_goes_on_from_the_weights_it_has(lab, rng):
    ids, heldout = markov_text(rng, 3, 60), markov_text(rng, 3, 25)
    once, twice = lab.Interpolated(2, 3).fit(ids), lab.Interpolated(2, 3).fit(ids)
    once.fit_lambdas(heldout, iters=8)
    twice.fit_lambdas(heldout, iters=3)
    twice.fit_lambdas(np.array(heldout), iters=5)
    expected, _ = em(opinions_on(ids, 2, 3, heldout), [1 / 3] * 3, 8)
    check.close(np.array(once.lambdas), np.array(expected), **EXACT, name="8 at once")
    check.close(np.array(twice.lambdas), np.array(expected), **EXACT, name="3 and 5")
    got = once.probs(heldout[:2])  # the counts are those of the training text still
    said = [opinions(ids, 2, 3, w, heldout[:2]) for w in range(3)]
    check.close(got, np.array(said) @ expected, **EXACT, name="probs afterwards")


@task(4)
def test_em_finds_the_optimum_of_a_grid(lab):
    rng = np.random.default_rng(33)  # fixed: a drawn text might converge too slowly
    V, ids = 4, markov_text(rng, 4, 150)
    bigram = np.array([add_k(ids, 2, 0, V, [a]) for a in range(V)])
    unigram = np.array(add_k(ids, 1, 0, V, []))
    heldout = [0]
    for _ in range(119):  # a source that is itself such a mixture
        source = 0.25 / V + 0.35 * unigram + 0.4 * bigram[heldout[-1]]
        heldout.append(int(rng.choice(V, p=source)))
    rows, times = np.unique(
        np.array(opinions_on(ids, 2, V, heldout)), axis=0, return_counts=True
    )
    model = lab.Interpolated(2, V).fit(ids)
    model.fit_lambdas(heldout, iters=800)
    best, width = np.array([1 / 3, 1 / 3]), 1.0
    while width > 1e-5:  # the loss is convex: a finer grid around the best point
        steps = np.linspace(-width, width, 21)
        a, b = (m.ravel() for m in np.meshgrid(best[0] + steps, best[1] + steps))
        inside = (a >= 0) & (b >= 0) & (a + b <= 1)
        grid = np.stack([a, b, 1 - a - b])[:, inside]
        with np.errstate(divide="ignore"):
            loss = -times @ np.log(rows @ grid)
        best, width = grid[:2, loss.argmin()], width / 4
    expected = np.array([best[0], best[1], 1 - best.sum()])
    check.close(np.array(model.lambdas), expected, rtol=0, atol=1e-3)


@task(4)
def test_a_pure_bigram_source_takes_all_the_weight(lab):
    cycle = [0, 2, 1, 3]
    model = lab.Interpolated(2, 4).fit(cycle * 6)
    model.fit_lambdas(cycle * 5, iters=40)
    check.close(np.array(model.lambdas), np.array([0.0, 0.0, 1.0]), rtol=0, atol=1e-6)


@task(4)
def test_held_out_texts_that_cannot_be_used(lab):
    model = lab.Interpolated(2, 3).fit(ABCAB)
    check.raises(ValueError, lambda: model.fit_lambdas([]), match="heldout")
    check.raises(ValueError, lambda: model.fit_lambdas([0, 3]), match="heldout")
    check.raises(ValueError, lambda: model.fit_lambdas([0, -1]), match="heldout")
    sure = lab.Interpolated(1, 3, [0.0, 1.0]).fit([0, 1])
    check.raises(ValueError, lambda: sure.fit_lambdas([0, 2]), match="heldout")
    losses = list(sure.fit_lambdas([0, 1], iters=3))
    check.close(losses, [log(2)] * 4, **EXACT, name="nothing left to gain")


@task(4)
def test_a_second_fit_replaces_the_counts_and_keeps_the_weights(lab):
    model = lab.Interpolated(2, 3, [0.2, 0.3, 0.5]).fit([1, 1, 2, 0, 0])
    model.prob(1, [0])
    model.fit(ABCAB)
    b = 0.2 / 3 + 0.3 * 2 / 5 + 0.5
    check.close(model.prob(1, [0]), b, **EXACT, name="prob(b, after a) of abcab")


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_after_how_many_symbols_each_comes(lab):
    # "abacab": a comes after b and after c; b twice, but after a both times
    ids = [0, 1, 0, 2, 0, 1]
    got = dict(lab.continuation_counts(ids, 1))
    check.equal(got, {(0,): 2, (1,): 1, (2,): 1}, name="single symbols")
    got = dict(lab.continuation_counts(ids, 2))
    check.equal(got, {(1, 0): 1, (0, 2): 1, (2, 0): 1, (0, 1): 1}, name="pairs")


@task(5)
def test_kneser_ney_on_abcab(lab):
    model, called = lab.KneserNey(2, 3).fit(ABCAB), 'KneserNey(2, 3).fit("abcab")'
    # after a: (2 - 0.75) / 2 for b, and 0.75 · 1 / 2 for a third each
    expected = np.array([0.125, 0.75, 0.125])
    check.close(model.probs([0]), expected, **EXACT, input=f"{called}.probs(a)")
    # after b: (1 - 0.75) / 1 for c, and 0.75 · 1 / 1 for a third each
    expected = np.array([0.25, 0.25, 0.5])
    check.close(model.probs([1]), expected, **EXACT, input=f"{called}.probs(b)")
    check.close(model.prob(1, [2, 0]), 0.75, **EXACT, input=f"{called}.prob(b, ca)")


@task(5)
def test_new_counts_and_new_discounts_replace_the_old(lab):
    model = lab.KneserNey(2, 3, 0.0).fit([1, 1, 2, 0, 0])
    model.prob(1, [0])
    model.fit(ABCAB)
    check.close(model.prob(1, [0]), 1.0, **EXACT, name="b after a, D = 0")
    model.set_discount(0.75)
    check.close(model.prob(1, [0]), 0.75, **EXACT, name="b after a, D = 0.75")


@task(5)
def test_san_francisco_is_frequent_but_follows_one_word(lab):
    san, francisco, red, glasses, new, my = range(6)
    text = [san, francisco] * 9 + [red, glasses, new, glasses, my, glasses]
    model = lab.KneserNey(2, 6, 0.5).fit(text)
    # different pairs: 8. Before francisco: san. Before glasses: red, new, my
    p = model.probs([])
    share = 0.5 * 6 / 8 / 6  # 6 symbols were lowered, and V is 6
    check.close(p[francisco], 0.5 / 8 + share, **EXACT, name="francisco anywhere")
    check.close(p[glasses], 2.5 / 8 + share, **EXACT, name="glasses anywhere")
    check.close(model.prob(francisco, [san]), (8.5 + 0.5 * p[francisco]) / 9, **EXACT)


@task(5)
@settings(max_examples=25)
@given(corpora(), st.data())
def test_kneser_ney_of_drawn_texts(lab, drawn, data):
    ids, order, V, context = drawn
    D = data.draw(
        st.lists(
            st.sampled_from([0.0, 0.25, 0.6, 0.75, 0.9, 1.0]),
            min_size=order,
            max_size=order,
        )
    )
    model = lab.KneserNey(order, V, D).fit(ids)
    h = tail(context, order)
    distribution(model, context, kneser_ney(ids, order, D, V, h), "probs")


@task(5)
def test_every_context_of_three_symbols(lab, rng):
    ids, D = rng.integers(0, 3, 60), [0.5, 0.7, 0.8, 0.9]
    model = lab.KneserNey(4, 3, D).fit(ids)
    for length in range(4):
        for h in np.ndindex(*[3] * length):
            got, expected = model.probs(h), kneser_ney(ids, 4, D, 3, h)
            check.close(got, np.array(expected), **EXACT, name=f"after {h}")


@task(5)
def test_first_window_of_a_text_counts_as_one_that_precedes(lab):
    # in 0 1 2 the triple starts the text: 2 comes after 1, though (1, 2) only after 0
    model = lab.KneserNey(4, 3, 0.5).fit([0, 1, 2])
    expected = kneser_ney([0, 1, 2], 4, [0.5] * 4, 3, ())
    check.close(expected, [1 / 6, 5 / 12, 5 / 12], **EXACT, name="oracle by hand")
    check.close(model.probs([]), np.array(expected), **EXACT, name="no context")


@task(5)
def test_marginals_of_a_bigram_model_are_the_counts(lab, rng):
    ids = markov_text(rng, 5, 120)
    for D in (0.3, 0.75, 1.0):
        model = lab.KneserNey(2, 5, (0.0, D)).fit(ids)
        got = sum(ids[:-1].count(h) * model.probs([h]) for h in range(5))
        expected = np.array([float(ids[1:].count(w)) for w in range(5)])
        check.close(got, expected, **EXACT, name=f"sum of c(h) p(w | h), {D=}")


@task(5)
def test_discounts_are_estimated_from_ones_and_twos(lab, rng):
    # pairs: (0,1) three times, (1,0) twice, and (1,2), (2,2), (2,1) once each
    ids = [0, 1, 0, 1, 2, 2, 1, 0, 1]
    model = lab.KneserNey(2, 3, "estimate").fit(ids)
    # order 2: n1 = 3, n2 = 1 -> 3/5. Order 1: 0 after {1}, 1 after {0,2}, 2 after {1,2}
    check.close(list(model.discounts), [1 / 5, 3 / 5], **EXACT, name="discounts")
    expected = kneser_ney(ids, 2, [1 / 5, 3 / 5], 3, (1,))
    check.close(model.probs([1]), np.array(expected), **EXACT, name="probs")
    model = lab.KneserNey(1, 2, "estimate").fit([0] * 5 + [1] * 4)
    check.close(list(model.discounts), [0.0], **EXACT, name="no ones, no twos")
    drawn = rng.integers(0, 6, 80)
    model = lab.KneserNey(3, 6, "estimate").fit(drawn)
    counts = [[len(before(drawn, g)) for g in set(windows(drawn, n))] for n in (1, 2)]
    counts.append([windows(drawn, 3).count(g) for g in set(windows(drawn, 3))])
    ones, twos = ([c.count(k) for c in counts] for k in (1, 2))
    expected = [
        a / (a + 2 * b) if a + b else 0.0 for a, b in zip(ones, twos, strict=True)
    ]
    check.close(list(model.discounts), expected, **EXACT, name="drawn text")


# Order 5, discount 0.75, fitted on the last 30,000 training characters of Tiny
# Shakespeare: nats on the first 2,000 of validation. From an independent program, which
# tests/against_libraries/test_lab_3_3.py runs (with the figure of the whole text).
REAL = 1.615089540


@task(5)
@needs_data("tinyshakespeare")
def test_real_text(lab):
    text = datasets.tiny_shakespeare()
    symbols = {c: i for i, c in enumerate(sorted(set(text)))}
    cut = len(text) * 9 // 10
    train = [symbols[c] for c in text[cut - 30_000 : cut]]
    valid = [symbols[c] for c in text[cut : cut + 2_000]]
    model = lab.KneserNey(5, len(symbols)).fit(train)
    losses = [
        -log(model.prob(w, valid[max(0, i - 4) : i])) for i, w in enumerate(valid)
    ]
    check.close(sum(losses) / len(losses), REAL, rtol=0, atol=1e-6, name="nats")


# --- Task 6 ----------------------------------------------------------------------


class Chain:
    """A model of the grader: one row of probabilities for each last symbol."""

    order = 2

    def __init__(self, rows, first):
        self.rows, self.first = np.array(rows), np.array(first)

    def probs(self, context=()):
        return (self.rows[context[-1]] if len(context) else self.first).copy()


class Sum:
    """A model of the grader: the next symbol is the sum of the last two, modulo 7."""

    order = 3

    def probs(self, context=()):
        return np.eye(7)[sum(int(i) for i in context[-2:]) % 7]


def chi_square_p(observed, expected):
    """P(chi-square >= the statistic); an even number of degrees of freedom only."""
    observed, expected = np.array(observed, float), np.array(expected, float)
    half = float(((observed - expected) ** 2 / expected).sum()) / 2
    freedom = observed.size - observed.shape[0]  # each row's sum is given
    terms = (half**i / math.factorial(i) for i in range(freedom // 2))
    return math.exp(-half) * sum(terms)


@task(6)
def test_a_chain_without_choice_is_followed(lab, rng):
    follow = Chain(np.eye(4)[[2, 3, 1, 0]], np.eye(4)[2])
    check.equal(list(lab.sample(follow, rng, 6)), [2, 1, 3, 0, 2, 1], name="no prompt")
    check.equal(list(lab.sample(follow, rng, 3, [1])), [3, 0, 2], name="prompt [1]")
    check.equal(list(lab.sample(follow, rng, 0, [1])), [], name="nothing to draw")


@task(6)
def test_all_that_was_drawn_is_context_of_what_follows(lab, rng):
    got = list(lab.sample(Sum(), rng, 8, (1, 1)))
    check.equal(got, [2, 3, 5, 1, 6, 0, 6, 6], name="sums of two, modulo 7")
    got = list(lab.sample(Sum(), rng, 4, np.array([4, 2, 6])))
    check.equal(got, [1, 0, 1, 1], name="prompt in an array")


@task(6)
def test_draws_follow_the_table(lab):
    rng = np.random.default_rng(6)
    rows = [[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]]
    rows += [[0.25, 0.25, 0.2, 0.3], [0.05, 0.6, 0.3, 0.05]]
    chain, seen = Chain(rows, [0.4, 0.1, 0.2, 0.3]), np.zeros((4, 4))
    for _ in range(50):
        ids = list(lab.sample(chain, rng, 401))
        np.add.at(seen, (ids[:-1], ids[1:]), 1)
    expected = seen.sum(axis=1, keepdims=True) * np.array(rows)
    p = chi_square_p(seen, np.maximum(expected, 1e-9))
    check.that(p > 1e-6, "20,000 draws as in the table (chi-square, p > 1e-6)", p)


@task(6)
def test_draws_come_from_the_generator(lab):
    chain, given = Chain(np.full((4, 4), 0.25), [0.25] * 4), np.random.default_rng
    first, again, other = (lab.sample(chain, given(s), 60) for s in (7, 7, 8))
    check.equal(list(again), list(first), name="the same seed")
    check.that(list(other) != list(first), "another seed, another text")
    python = all(type(i) is int for i in first)
    check.that(python, "Python integers", sorted({type(i).__name__ for i in first}))


@task(6)
def test_most_likely_symbols_come_first(lab):
    model = Chain(
        [[0.1, 0.2, 0.3, 0.4], [0.25] * 4, [0.4, 0.1, 0.4, 0.1]], [0, 0.5, 0.5, 0]
    )
    itos = "ywxz"  # not in the order of the alphabet, so that ids decide ties
    got = lab.top_contexts(model, [0], itos, 2)
    check.close(got, [("z", 0.4), ("x", 0.3)], **EXACT, name="two after y")
    got = lab.top_contexts(model, [1, 2], itos, 4)
    expected = [("y", 0.4), ("x", 0.4), ("w", 0.1), ("z", 0.1)]
    check.close(got, expected, **EXACT, name="ties in the order of ids")
    got = lab.top_contexts(model, [], list(itos), 1)
    check.close(got, [("w", 0.5)], **EXACT, name="no context")
    got = lab.top_contexts(model, [], itos, 4)
    expected = [("w", 0.5), ("x", 0.5), ("y", 0.0), ("z", 0.0)]
    check.close(got, expected, **EXACT, name="as many as there are")


@task(6)
def test_k_that_cannot_be_had(lab):
    model = Chain(np.eye(3), [0.5, 0.25, 0.25])
    for k in (0, 4, -1):
        check.raises(
            ValueError, lambda k=k: lab.top_contexts(model, [], "abc", k), match="k"
        )
    check.equal(lab.top_contexts(model, [2], "abc", 1), [("c", 1.0)])
