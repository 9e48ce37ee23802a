"""Lab 3.3 by another route: no tables for the estimates, top-down recursion, arrays."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

import numpy as np


def as_ids(name, ids, vocab_size):
    found = []
    for i in ids:
        if int(i) != i or not 0 <= i < vocab_size:
            raise ValueError(f"{name}: {i} is not a symbol")
        found.append(int(i))
    return found


def count_ngrams(ids, order):
    if not order >= 1:
        raise ValueError(f"an order of {order} makes no sense")
    counts = defaultdict(int)
    position = 0
    while position + order <= len(ids):
        key = ()
        for k in range(order):
            key += (int(ids[position + k]),)
        counts[key] += 1
        position += 1
    return counts


def by_context(counts):
    table = defaultdict(dict)
    for (*h, w), c in sorted(counts.items(), reverse=True):
        table[tuple(h)][w] = c
    return table


class NGramModel(ABC):
    def __init__(self, order, vocab_size):
        if order < 1:
            raise ValueError("order is too small")
        if vocab_size < 1:
            raise ValueError("vocab_size is too small")
        self.order, self.vocab_size = order, vocab_size
        self.tables = [{} for _ in range(order)]
        self.totals = [{} for _ in range(order)]

    def fit(self, ids):
        ids = as_ids("ids", ids, self.vocab_size)
        self.tables, self.totals = [], []
        for n in range(1, self.order + 1):
            table = dict(by_context(self.counts(ids, n)))
            self.tables.append(table)
            self.totals.append({h: sum(f.values()) for h, f in table.items()})
        return self

    def counts(self, ids, n):
        return count_ngrams(ids, n)

    @property
    def size(self):
        return sum(len(f) for table in self.tables for f in table.values())

    def context(self, history):
        kept = []
        for w in reversed(list(history)):
            if len(kept) == self.order - 1:
                break
            kept.insert(0, int(w))
        return tuple(kept)

    @abstractmethod
    def estimate(self, w, h): ...

    def prob(self, w, context=()):
        if w < 0 or w >= self.vocab_size:
            raise ValueError(f"w = {w}")
        return self.estimate(w, self.context(context))

    def probs(self, context=()):
        h = self.context(context)
        return np.array([self.estimate(w, h) for w in range(self.vocab_size)])


class AddK(NGramModel):
    def __init__(self, order, k, vocab_size):
        super().__init__(order, vocab_size)
        if k < 0:
            raise ValueError("k is negative")
        self.k = k

    def estimate(self, w, h):
        # a mean of maximum likelihood and the uniform distribution
        uniform = 1.0 / self.vocab_size
        if h not in self.tables[len(h)]:
            return uniform
        total = self.totals[len(h)][h]
        share = self.k * self.vocab_size / (total + self.k * self.vocab_size)
        likelihood = self.tables[len(h)][h].get(w, 0) / total
        return (1 - share) * likelihood + share * uniform


def token_probs(model, ids, start=0):
    ids = [int(i) for i in ids]
    if start < 0 or start >= len(ids):
        raise ValueError(f"nothing to predict from start = {start}")
    answers = np.zeros(len(ids) - start)
    for place in range(len(answers)):
        answers[place] = model.prob(ids[start + place], tuple(ids[: start + place]))
    return answers


def cross_entropy(model, ids, start=0):
    total = 0.0
    p = token_probs(model, ids, start)
    for x in p:
        total += math.inf if x == 0 else -math.log(x)
    return total / len(p)


def perplexity(nats):
    return 2.0 ** bits_per_char(nats)


def bits_per_char(nats):
    return nats * math.log2(math.e)


class Interpolated(NGramModel):
    def __init__(self, order, vocab_size, lambdas: Sequence[float] | None = None):
        super().__init__(order, vocab_size)
        if lambdas is None:
            lambdas = [1 / (order + 1)] * (order + 1)
        self.lambdas = np.array(lambdas, dtype=np.float64)
        if len(self.lambdas) != order + 1 or self.lambdas.min() < 0:
            raise ValueError("lambdas do not fit")
        if abs(self.lambdas.sum() - 1) > 1e-9:
            raise ValueError("lambdas do not sum to 1")

    def components(self, w, h):
        said = np.empty(self.order + 1)
        said[0] = 1 / self.vocab_size
        for n in range(1, self.order + 1):
            said[n] = said[n - 1]
            if n - 1 > len(h):
                continue
            g = h[len(h) + 1 - n :]
            if g in self.tables[n - 1]:
                said[n] = self.tables[n - 1][g].get(w, 0) / self.totals[n - 1][g]
        return said

    def estimate(self, w, h):
        total = 0.0
        for weight, p in zip(self.lambdas, self.components(w, h), strict=True):
            total += float(weight) * float(p)
        return total

    def fit_lambdas(self, heldout, iters=20):
        ids = as_ids("heldout", heldout, self.vocab_size)
        if len(ids) == 0:
            raise ValueError("heldout is empty")
        said = [self.components(w, self.context(ids[:i])) for i, w in enumerate(ids)]
        losses = []
        while True:
            loss, gains = 0.0, np.zeros(self.order + 1)
            for row in said:
                joint = row * self.lambdas
                if joint.sum() == 0:
                    raise ValueError("heldout is impossible")
                loss += math.log(joint.sum())
                gains += joint / joint.sum()
            losses.append(-loss / len(ids))
            if len(losses) > iters:
                return losses
            self.lambdas = gains / gains.sum()


def continuation_counts(ids, n):
    left = defaultdict(set)
    for i in range(1, len(ids) - n + 1):
        left[tuple(int(w) for w in ids[i : i + n])].add(int(ids[i - 1]))
    return {gram: len(symbols) for gram, symbols in left.items()}


class KneserNey(NGramModel):
    def __init__(self, order, vocab_size, discount=0.75):
        super().__init__(order, vocab_size)
        self.set_discount(discount)

    def set_discount(self, discount):
        if isinstance(discount, str):
            if discount != "estimate":
                raise ValueError("discount is unknown")
            found = [self.estimate_discount(n + 1) for n in range(self.order)]
        else:
            found = np.broadcast_to(np.array(discount, float), self.order).tolist()
        if min(found) < 0 or max(found) > 1:
            raise ValueError("discount is out of range")
        self.discount, self.discounts = discount, found

    def fit(self, ids):
        super().fit(ids)
        self.set_discount(self.discount)
        return self

    def counts(self, ids, n):
        if n < self.order:
            return continuation_counts(ids, n)
        return count_ngrams(ids, n)

    @cached_property
    def uniform(self):
        return 1 / self.vocab_size

    def estimate_discount(self, n):
        values = [c for f in self.tables[n - 1].values() for c in f.values()]
        once, twice = values.count(1), values.count(2)
        return 0.0 if once == twice == 0 else once / (once + twice + twice)

    def estimate(self, w, h):
        lower = self.estimate(w, h[1:]) if h else self.uniform
        followers = self.tables[len(h)].get(h)
        if not followers:
            return lower
        D = self.discounts[len(h)]
        left = {v: c - D for v, c in followers.items()}
        free = 1 - sum(left.values()) / self.totals[len(h)][h]
        return left.get(w, 0.0) / self.totals[len(h)][h] + free * lower


def sample(model, rng, n, prompt=()):
    written = []
    for _ in range(n):
        history = tuple(prompt) + tuple(written)
        steps = np.cumsum(model.probs(history))
        place = np.searchsorted(steps, rng.random() * steps[-1], side="right")
        written.append(int(min(place, len(steps) - 1)))
    return written


def top_contexts(model, context, itos, k):
    p = list(model.probs(context))
    if k < 1 or k > len(p):
        raise ValueError(f"k = {k} of {len(p)}")
    order = sorted(range(len(p)), key=lambda i: (-p[i], i))
    return [(itos[i], float(p[i])) for i in order[:k]]
