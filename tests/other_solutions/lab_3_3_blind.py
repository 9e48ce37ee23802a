"""Lab 3.3, written from README and stub alone.

Windows by `np.unique`, weights by their multiplicative update, Kneser-Ney from the empty
context upwards, draws by exponential clocks.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np

Ids = Sequence[int] | np.ndarray  # integers (N,)
NGram = tuple[int, ...]


def as_ids(name: str, ids: Ids, vocab_size: int) -> list[int]:
    """Python integers, which make faster keys than NumPy's, or say what is wrong.

    Raises:
        ValueError: not one-dimensional integers from 0 to `vocab_size` - 1.
    """
    array = np.asarray(ids)
    if array.size == 0:
        return []
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers of shape (N,), got {array.dtype}")
    if array.min() < 0 or array.max() >= vocab_size:
        raise ValueError(f"{name} must lie in 0..{vocab_size - 1}")
    return array.tolist()


# --- Task 1 (1 point): counts ------------------------------------------------------


def count_ngrams(ids: Ids, order: int) -> dict[NGram, int]:
    """How often each n-gram occurs: all windows of exactly `order` symbols.

    count_ngrams([7, 8, 9, 7, 8], 2) is {(7, 8): 2, (8, 9): 1, (9, 7): 1}. A text that
    is shorter than `order` has none.

    Raises:
        ValueError: `order` is below 1.
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, got {order}")
    text = np.asarray(ids)
    if text.size < order:
        return {}
    windows, times = np.unique(
        np.lib.stride_tricks.sliding_window_view(text, order),
        axis=0,
        return_counts=True,
    )
    return dict(zip(map(tuple, windows.tolist()), times.tolist(), strict=True))


def by_context(counts: dict[NGram, int]) -> dict[NGram, dict[int, int]]:
    """The same counts as a table: context -> {next symbol: count}.

    The context is all but the last symbol. by_context({(7, 8): 2, (8, 9): 1}) is
    {(7,): {8: 2}, (8,): {9: 1}}; an n-gram of one symbol has the empty context ().
    """
    table: dict[NGram, dict[int, int]] = {}
    for (*before, last), count in counts.items():
        table.setdefault(tuple(before), {})[last] = count
    return table


# --- What the models share; `context` is part of task 2, the rest is given ---------


class NGramModel(ABC):
    """A distribution over the next symbol that looks back `order` - 1 symbols.

    Attributes:
        tables: filled by `fit`, one for each length of context, 0 to order - 1:
            {context: ({next symbol: count}, the sum of these counts)}. A context that
            was never seen is not in it.
    """

    def __init__(self, order: int, vocab_size: int):
        if order < 1:
            raise ValueError(f"order must be at least 1, got {order}")
        if vocab_size < 1:
            raise ValueError(f"vocab_size must be at least 1, got {vocab_size}")
        self.order, self.vocab_size = order, vocab_size
        self.tables: list[dict[NGram, tuple[dict[int, int], int]]] = [
            {} for _ in range(order)
        ]

    def fit(self, ids: Ids) -> Self:
        """Count the text, in place of what was counted before.

        Raises:
            ValueError: a symbol of `ids` is not in 0..vocab_size-1.
        """
        ids = as_ids("ids", ids, self.vocab_size)
        self.tables = []
        for n in range(1, self.order + 1):
            table = by_context(self.counts(ids, n))
            self.tables.append({h: (f, sum(f.values())) for h, f in table.items()})
        return self

    def counts(self, ids: Ids, n: int) -> dict[NGram, int]:
        """The counts that `fit` keeps for n-grams of length `n`, 1 to `order`."""
        return count_ngrams(ids, n)

    @property
    def size(self) -> int:
        """Number of counts kept, over all orders: the "parameters" of the model."""
        return sum(len(f) for table in self.tables for f, _ in table.values())

    def context(self, history: Ids) -> NGram:
        """The part of `history` that the model looks at: its last `order` - 1 symbols.

        All of it where it is shorter. For order 3, context([4, 5, 6]) is (5, 6).
        """
        start = max(0, len(history) - (self.order - 1))
        return tuple(int(history[i]) for i in range(start, len(history)))

    @abstractmethod
    def estimate(self, w: int, h: NGram) -> float:
        """p(w | h) for a context that `context` has cut: 0 to order - 1 symbols."""

    def prob(self, w: int, context: Ids = ()) -> float:
        """The probability that `w` comes after `context`.

        Raises:
            ValueError: `w` is not in 0..vocab_size-1.
        """
        if not 0 <= w < self.vocab_size:
            raise ValueError(f"w must lie in 0..{self.vocab_size - 1}, got {w}")
        return self.estimate(w, self.context(context))

    def probs(self, context: Ids = ()) -> np.ndarray:
        """The whole distribution after `context`: float64 (vocab_size,), sums to 1."""
        h = self.context(context)
        return np.array([self.estimate(w, h) for w in range(self.vocab_size)])


# --- Task 2 (2 points): add-k ------------------------------------------------------


class AddK(NGramModel):
    """Pretend that every n-gram was seen k times more (Lidstone 1920; k = 1: Laplace).

    k = 0 is plain maximum likelihood, with zeros. ValueError: `k` is negative.
    """

    def __init__(self, order: int, k: float, vocab_size: int):
        super().__init__(order, vocab_size)
        if not k >= 0:
            raise ValueError(f"k must not be negative, got {k}")
        self.k = k

    def estimate(self, w: int, h: NGram) -> float:
        """(c(h w) + k) / (c(h) + k V) with V = vocab_size.

        c(h) is the sum of c(h v) over all symbols v, as in `tables`. Only counts after
        the whole of `h` are looked at. 1 / V where k = 0 and h was never seen.
        """
        followers, total = self.tables[len(h)].get(h, ({}, 0))
        denominator = total + self.k * self.vocab_size
        if denominator == 0:
            return 1 / self.vocab_size
        return (followers.get(w, 0) + self.k) / denominator


# --- Task 3 (2 points): cross-entropy, perplexity, bits ----------------------------


class LanguageModel(Protocol):
    """What scoring and sampling need; every model of this lab fits, and yours may."""

    order: int

    def prob(self, w: int, context: Ids) -> float: ...

    def probs(self, context: Ids) -> np.ndarray: ...


def token_probs(model: LanguageModel, ids: Ids, start: int = 0) -> np.ndarray:
    """The probability the model gave to each symbol that really came.

    Entry i - start is model.prob(ids[i], context), where the context is what came
    before position i: all of it, or its last model.order - 1 symbols, which say the
    same. Position 0 has an empty context.

    Args:
        model: has `order` and `prob`.
        ids: the text, integers (N,).
        start: the first position that is predicted, 0 to N - 1.

    Returns:
        float64 (N - start,).

    Raises:
        ValueError: `start` leaves no position.
    """
    if not 0 <= start < len(ids):
        raise ValueError(f"start must lie in 0..{len(ids) - 1}, got {start}")
    reach = model.order - 1
    return np.fromiter(
        (
            model.prob(int(ids[i]), ids[max(i - reach, 0) : i])
            for i in range(start, len(ids))
        ),
        dtype=np.float64,
        count=len(ids) - start,
    )


def cross_entropy(model: LanguageModel, ids: Ids, start: int = 0) -> float:
    """The loss on a text: the mean of -log p over its positions, in nats per symbol.

    This is the cross-entropy of lab 1.6 with the text as p and the model as q: never
    below the entropy of the source. Infinite where a symbol came that had probability
    0. Arguments and errors as in `token_probs`.
    """
    ps = token_probs(model, ids, start)
    if ps.min() == 0:
        return math.inf
    return math.fsum(-math.log(p) for p in ps) / len(ps)


def perplexity(nats: float) -> float:
    """How many equally likely symbols would be as hard to guess: exp(nats).

    perplexity(log(8)) is 8. `nats` is a mean loss already; lab 1.6's function of this
    name takes the losses one by one and averages first.
    """
    return math.exp(nats) if nats < 700 else math.inf


def bits_per_char(nats: float) -> float:
    """The same loss with logarithms to base 2: bits_per_char(log(8)) is 3."""
    return nats * math.log2(math.e)


# --- Task 4 (2 points): interpolation, weights by EM -------------------------------


class Interpolated(NGramModel):
    """A weighted mean of the models of all orders (Jelinek & Mercer 1980).

    Attributes:
        lambdas: weights of the orders 0 to `order`, float64 (order + 1,), sum to 1;
            equal at first where none are given. Order 0 is the uniform distribution.
            `fit` does not change them.

    Raises:
        ValueError: `lambdas` has another shape, a negative entry, or not the sum 1.
    """

    def __init__(
        self, order: int, vocab_size: int, lambdas: Sequence[float] | None = None
    ):
        super().__init__(order, vocab_size)
        if lambdas is None:
            lambdas = np.full(order + 1, 1 / (order + 1))
        self.lambdas = np.array(lambdas, dtype=np.float64)
        if self.lambdas.shape != (order + 1,):
            raise ValueError(f"lambdas must have shape ({order + 1},)")
        if not (self.lambdas >= 0).all() or abs(self.lambdas.sum() - 1) > 1e-9:
            raise ValueError("lambdas must not be negative and must sum to 1")

    def components(self, w: int, h: NGram) -> list[float]:
        """What each order says of `w` after `h`: order + 1 probabilities.

        [0] is 1 / V. [n] is c(g w) / c(g), where g is the last n - 1 symbols of `h`. If
        g was never seen, or h is shorter than n - 1, order n has no opinion of its own
        and repeats what order n - 1 says.
        """
        says = [1 / self.vocab_size]
        for n in range(1, self.order + 1):
            seen = None
            if len(h) >= n - 1:
                seen = self.tables[n - 1].get(h[len(h) - (n - 1) :])
            says.append(says[-1] if seen is None else seen[0].get(w, 0) / seen[1])
        return says

    def estimate(self, w: int, h: NGram) -> float:
        """The sum of lambdas[n] times components[n]."""
        return float(np.dot(self.lambdas, self.components(w, h)))

    def fit_lambdas(self, heldout: Ids, iters: int = 20) -> list[float]:
        """Find the weights under which a held-out text is most likely, by EM.

        Each symbol i of the text belongs to order n with the share r_in = lambdas[n]
        p_in / sum_m lambdas[m] p_im, where p_in are its `components` (E step). The new
        weights are the means of these shares over the text (M step; Dempster, Laird &
        Rubin 1977). Repeated `iters` times; starts from `lambdas` as they are.

        Args:
            heldout: text that was not in `fit`, (N,); position 0 has no context.
            iters: how often to repeat, 0 or more.

        Returns:
            The cross-entropy of `heldout` in nats before the first and after each
            iteration: iters + 1 numbers that never increase.

        Raises:
            ValueError: `heldout` is empty, a symbol is not in 0..vocab_size-1, or it
                has probability 0 under `lambdas`.
        """
        text = as_ids("heldout", heldout, self.vocab_size)
        if not text:
            raise ValueError("heldout is empty")
        p = np.array(
            [
                self.components(w, self.context(text[max(0, i - self.order) : i]))
                for i, w in enumerate(text)
            ]
        ).T
        weights = self.lambdas.copy()
        mixed = weights @ p
        if mixed.min() == 0:
            raise ValueError("heldout has probability 0 under lambdas")
        losses = [float(-np.log(mixed).mean())]
        for _ in range(iters):
            # mean share of order n: lambda_n * mean(p_n / mixture)
            weights = weights * (p / mixed).mean(axis=1)
            weights /= weights.sum()
            mixed = weights @ p
            losses.append(float(-np.log(mixed).mean()))
        self.lambdas = weights
        return losses


# --- Task 5 (2 points): Kneser-Ney -------------------------------------------------


def continuation_counts(ids: Ids, n: int) -> dict[NGram, int]:
    """After how many different symbols each n-gram comes, anywhere in the text.

    continuation_counts([7, 8, 9, 7, 8], 1) is {(8,): 1, (9,): 1, (7,): 1}: 8 comes
    twice, but after 7 both times. An n-gram that nothing ever precedes is left out.
    """
    left: dict[NGram, set[int]] = {}
    symbols = [int(i) for i in ids]
    for i in range(1, len(symbols) - n + 1):
        left.setdefault(tuple(symbols[i : i + n]), set()).add(symbols[i - 1])
    return {g: len(s) for g, s in left.items()}


class KneserNey(NGramModel):
    """Interpolated Kneser-Ney (Kneser & Ney 1995; Chen & Goodman 1999, section 2.7).

    Each count is lowered by a discount D, and the mass that this sets free goes to the
    next shorter context, whose counts say after how many different symbols something
    comes and not how often.

    Args:
        discount: what is taken off each count, 0 to 1: one number for all orders, one
            for each order 1 to `order`, or "estimate".

    Attributes:
        discounts: one number for each order, [n - 1] for n-grams of length n; set by
            `fit` and `set_discount`.

    Raises:
        ValueError: `discount` is none of these.
    """

    def __init__(
        self,
        order: int,
        vocab_size: int,
        discount: float | Sequence[float] | str = 0.75,
    ):
        super().__init__(order, vocab_size)
        self.set_discount(discount)

    def set_discount(self, discount: float | Sequence[float] | str) -> None:
        """Change the discount; the counts stay."""
        if isinstance(discount, str):
            if discount != "estimate":
                raise ValueError(f"discount must not be {discount!r}")
            found = [self.estimate_discount(n) for n in range(1, self.order + 1)]
        elif np.ndim(discount) == 0:
            found = [float(discount)] * self.order
        else:
            found = [float(d) for d in discount]
        if len(found) != self.order or not all(0 <= d <= 1 for d in found):
            raise ValueError(f"discount must be {self.order} numbers from 0 to 1")
        self.discount, self.discounts = discount, found

    def fit(self, ids: Ids) -> Self:
        """As in `NGramModel`; estimates the discounts where that was asked for."""
        super().fit(ids)
        self.set_discount(self.discount)
        return self

    def counts(self, ids: Ids, n: int) -> dict[NGram, int]:
        """Plain counts for n = `order`, continuation counts for every shorter n."""
        return count_ngrams(ids, n) if n == self.order else continuation_counts(ids, n)

    def estimate_discount(self, n: int) -> float:
        """n1 / (n1 + 2 n2): n1 and n2 of the n-grams have the count 1 and 2.

        Counts as in `tables`. 0.0 where there are neither (Ney, Essen & Kneser 1994).
        """
        tally = Counter(c for f, _ in self.tables[n - 1].values() for c in f.values())
        ones, twos = tally[1], tally[2]
        return ones / (ones + 2 * twos) if ones or twos else 0.0

    def estimate(self, w: int, h: NGram) -> float:
        """p(w | h) = max(c(h w) - D, 0) / c(h) + D t(h) / c(h) · p(w | h').

        c(h w) and c(h) are as in `tables`, D is the discount of their order, t(h) the
        number of different symbols that follow h, and h' is h without its first symbol.
        If h was never seen, p(w | h) = p(w | h'). Below the empty context stands the
        uniform distribution 1 / V.
        """
        p = 1 / self.vocab_size
        for n in range(len(h) + 1):  # from the empty context up to the whole of h
            followers, total = self.tables[n].get(h[len(h) - n :], ({}, 0))
            if total == 0:
                continue
            d = self.discounts[n]
            p = (max(followers.get(w, 0) - d, 0.0) + d * len(followers) * p) / total
        return p


# --- Task 6 (1 point): sampling ----------------------------------------------------


def sample(
    model: LanguageModel, rng: np.random.Generator, n: int, prompt: Ids = ()
) -> list[int]:
    """Let the model write: n symbols, each drawn from `model.probs` of all before it.

    Args:
        model: has `probs`.
        rng: where the draws come from.
        n: how many symbols to draw, 0 or more.
        prompt: what stands before the first of them; not part of the result.

    Returns:
        n Python integers.
    """
    text = [int(i) for i in prompt]
    first = len(text)
    while len(text) < first + n:
        p = np.asarray(model.probs(text), dtype=np.float64)
        # The first of independent exponential clocks with rates p to ring.
        possible = np.flatnonzero(p > 0)
        clocks = rng.exponential(size=len(possible)) / p[possible]
        text.append(int(possible[clocks.argmin()]))
    return text[first:]


def top_contexts(
    model: LanguageModel, context: Ids, itos: Sequence[str], k: int
) -> list[tuple[str, float]]:
    """The k symbols that most likely follow `context`, the likeliest first.

    [(itos[id], probability)], where itos[id] is the text of a symbol; of equally likely
    ones the lower id comes first.

    Raises:
        ValueError: `k` is not in 1..V.
    """
    p = model.probs(context)
    if not 1 <= k <= len(p):
        raise ValueError(f"k must lie in 1..{len(p)}, got {k}")
    best = sorted(range(len(p)), key=lambda i: (-p[i], i))[:k]
    return [(itos[i], float(p[i])) for i in best]
