"""N-gram language models: count what follows what, and never say "impossible".

You build every classical way to turn counts into the probability of the next symbol:
add-k, interpolation with weights found by EM, and Kneser-Ney, for decades the standard;
the scores by which all language models are compared; and a sampler that makes text.

1 counts (1)   2 add-k (2)   3 cross-entropy, perplexity, bits (2)
4 interpolation and EM (2)   5 Kneser-Ney (2)   6 sampling (1)

Symbols are integers ("ids") from 0 to vocab_size - 1; the lab does not care whether
they stand for characters or words. w is a symbol, h the context before it, n-gram a
tuple of n symbols, and c(h w) says how often w came directly after h.
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
        raise ValueError(
            f"{name} must be integers of shape (N,), got {array.dtype} {array.shape}"
        )
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
    # task 1
    if order < 1:
        raise ValueError(f"order must be at least 1, got {order}")
    ids = np.asarray(ids).tolist()
    # zip ends with its shortest argument, so no window hangs over the end
    return dict(Counter(zip(*(ids[start:] for start in range(order)), strict=False)))


def by_context(counts: dict[NGram, int]) -> dict[NGram, dict[int, int]]:
    """The same counts as a table: context -> {next symbol: count}.

    The context is all but the last symbol. by_context({(7, 8): 2, (8, 9): 1}) is
    {(7,): {8: 2}, (8,): {9: 1}}; an n-gram of one symbol has the empty context ().
    """
    # task 1
    table: dict[NGram, dict[int, int]] = {}
    for ngram, count in counts.items():
        table.setdefault(ngram[:-1], {})[ngram[-1]] = count
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
        # task 2
        length = min(self.order - 1, len(history))
        return tuple(history[len(history) - length :])  # [-0:] would be all of it

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
        # task 2
        followers, total = self.tables[len(h)].get(h, ({}, 0))
        total += self.k * self.vocab_size
        if total == 0:
            return 1 / self.vocab_size
        return (followers.get(w, 0) + self.k) / total


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
    # task 3
    ids = np.asarray(ids).tolist()
    if not 0 <= start < len(ids):
        raise ValueError(f"start must lie in 0..{len(ids) - 1}, got {start}")
    reach = model.order - 1  # a slice of all that came before would be quadratic
    return np.array(
        [model.prob(ids[i], ids[max(0, i - reach) : i]) for i in range(start, len(ids))]
    )


def cross_entropy(model: LanguageModel, ids: Ids, start: int = 0) -> float:
    """The loss on a text: the mean of -log p over its positions, in nats per symbol.

    This is the cross-entropy of lab 1.6 with the text as p and the model as q: never
    below the entropy of the source. Infinite where a symbol came that had probability
    0. Arguments and errors as in `token_probs`.
    """
    # task 3
    with np.errstate(divide="ignore"):  # log 0 = -inf is meant
        return float(-np.mean(np.log(token_probs(model, ids, start))))


def perplexity(nats: float) -> float:
    """How many equally likely symbols would be as hard to guess: exp(nats).

    perplexity(log(8)) is 8. `nats` is a mean loss already; lab 1.6's function of this
    name takes the losses one by one and averages first.
    """
    # task 3
    return math.exp(nats)


def bits_per_char(nats: float) -> float:
    """The same loss with logarithms to base 2: bits_per_char(log(8)) is 3."""
    # task 3
    return nats / math.log(2)


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
        # task 4
        p = [1 / self.vocab_size]
        for length in range(self.order):
            g = h[max(0, len(h) - length) :]
            # keys have exactly that length: if h is shorter, nothing is found either
            followers, total = self.tables[length].get(g, ({}, 0))
            p.append(followers.get(w, 0) / total if total else p[-1])
        return p

    def estimate(self, w: int, h: NGram) -> float:
        """The sum of lambdas[n] times components[n]."""
        # task 4
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
        # task 4
        ids = as_ids("heldout", heldout, self.vocab_size)
        if not ids:
            raise ValueError("heldout must hold at least one symbol")
        p = np.array(  # (N, order + 1); does not depend on the weights
            [
                self.components(w, self.context(ids[max(0, i - self.order) : i]))
                for i, w in enumerate(ids)
            ]
        )
        losses = []
        for iteration in range(iters + 1):
            mixed = p @ self.lambdas
            if not (mixed > 0).all():
                raise ValueError("heldout has a symbol of probability 0 under lambdas")
            losses.append(float(-np.mean(np.log(mixed))))
            if iteration < iters:
                self.lambdas = np.mean(self.lambdas * p / mixed[:, None], axis=0)
        return losses


# --- Task 5 (2 points): Kneser-Ney -------------------------------------------------


def continuation_counts(ids: Ids, n: int) -> dict[NGram, int]:
    """After how many different symbols each n-gram comes, anywhere in the text.

    continuation_counts([7, 8, 9, 7, 8], 1) is {(8,): 1, (9,): 1, (7,): 1}: 8 comes
    twice, but after 7 both times. An n-gram that nothing ever precedes is left out.
    """
    # task 5
    return dict(Counter(ngram[1:] for ngram in count_ngrams(ids, n + 1)))


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
        # task 5
        return count_ngrams(ids, n) if n == self.order else continuation_counts(ids, n)

    def estimate_discount(self, n: int) -> float:
        """n1 / (n1 + 2 n2): n1 n-grams of length `n` have count 1, n2 have count 2.

        Counts as in `tables`. 0.0 where there are neither (Ney, Essen & Kneser 1994).
        """
        # task 5
        counts = (c for f, _ in self.tables[n - 1].values() for c in f.values())
        of_counts = Counter(counts)
        n1, n2 = of_counts[1], of_counts[2]
        return n1 / (n1 + 2 * n2) if n1 + n2 else 0.0

    def estimate(self, w: int, h: NGram) -> float:
        """p(w | h) = max(c(h w) - D, 0) / c(h) + D t(h) / c(h) · p(w | h').

        c(h w) and c(h) are as in `tables`, D is the discount of their order, t(h) the
        number of different symbols that follow h, and h' is h without its first symbol.
        If h was never seen, p(w | h) = p(w | h'). Below the empty context stands the
        uniform distribution 1 / V.
        """
        # task 5
        p = 1 / self.vocab_size
        for length in range(len(h) + 1):  # from the shortest context to the longest
            g = h[len(h) - length :]
            if g not in self.tables[length]:
                break  # what was never seen was never seen after more context either
            followers, total = self.tables[length][g]
            discount = self.discounts[length]
            kept = max(followers.get(w, 0) - discount, 0) / total
            p = kept + discount * len(followers) / total * p
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
    # task 6
    ids = list(prompt)
    for _ in range(n):
        p = model.probs(ids)
        ids.append(int(rng.choice(len(p), p=p)))
    return ids[len(prompt) :]


def top_contexts(
    model: LanguageModel, context: Ids, itos: Sequence[str], k: int
) -> list[tuple[str, float]]:
    """The k symbols that most likely follow `context`, the likeliest first.

    [(itos[id], probability)], where itos[id] is the text of a symbol; of equally likely
    ones the lower id comes first.

    Raises:
        ValueError: `k` is not in 1..V, where V is the length of `model.probs`.
    """
    # task 6
    p = model.probs(context)
    if not 1 <= k <= len(p):
        raise ValueError(f"k must lie in 1..{len(p)}, got {k}")
    best = np.argsort(-p, kind="stable")[:k]
    return [(itos[id], float(p[id])) for id in best]
