"""Lab 3.3 beside a program that has nothing in common with it: columns of codes.

No Python library that tests may depend on has an interpolated Kneser-Ney with plain
counts at the top order, so the second opinion is written here, in NumPy: every n-gram
is a number to base V, every count comes from a sort. It also says where the figure in
the grader's data test comes from.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from common import datasets, labs
from tests.support import requires

GRADER = labs.find("3.3")[0].file("test_lab.py")


@pytest.fixture(scope="module")
def lab():
    return labs.solution("3.3")


@pytest.fixture(scope="module")
def text():
    requires("tinyshakespeare")
    return datasets.shakespeare_characters()


def codes(ids: np.ndarray, n: int, V: int) -> np.ndarray:
    """Each window of n symbols as a number to base V; windows of none are all 0."""
    if n == 0:
        return np.zeros(len(ids) + 1, np.int64)
    places = V ** np.arange(n - 1, -1, -1, dtype=np.int64)
    return np.lib.stride_tricks.sliding_window_view(ids, n) @ places


def look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value of each wanted key, 0 where it is not among the sorted keys."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


def kneser_ney_probs(train, valid, order, discounts, V):
    """The probability of each symbol of `valid`, all positions of an order at once."""
    p = np.full(len(valid), 1 / V)
    for n, D in zip(range(1, order + 1), discounts, strict=True):
        if n == order:
            grams, counts = np.unique(codes(train, n, V), return_counts=True)
        else:
            longer = np.unique(codes(train, n + 1, V))
            grams, counts = np.unique(longer % V**n, return_counts=True)
        contexts, place = np.unique(grams // V, return_inverse=True)
        total, types = np.bincount(place, counts), np.bincount(place)
        asked = codes(valid, n, V)
        c = look_up(grams, counts, asked)
        t = look_up(contexts, types, asked // V)
        s = look_up(contexts, total, asked // V)
        seen = s > 0
        rest = p[n - 1 :]
        rest[seen] = (np.maximum(c[seen] - D, 0) + D * t[seen] * rest[seen]) / s[seen]
    return p


def test_every_probability_of_a_drawn_text(lab):
    rng = np.random.default_rng(33)
    train, valid = rng.integers(0, 7, 3000), rng.integers(0, 7, 500)
    for order, discounts in [(1, [0.5]), (3, [0.2, 0.6, 0.9]), (5, [0.75] * 5)]:
        model = lab.KneserNey(order, 7, discounts).fit(train)
        got = lab.token_probs(model, valid)
        expected = kneser_ney_probs(train, valid, order, discounts, 7)
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_order_five_on_the_whole_validation_text(lab, text):
    model = lab.KneserNey(5, 65).fit(text.train)
    got = lab.token_probs(model, text.valid)
    expected = kneser_ney_probs(text.train, text.valid, 5, [0.75] * 5, 65)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert abs(lab.cross_entropy(model, text.valid) - 1.566) < 0.002


def test_figure_in_the_grader(text):
    train, valid = text.train[-30_000:], text.valid[:2_000]
    p = kneser_ney_probs(train, valid, 5, [0.75] * 5, 65)
    spec = importlib.util.spec_from_file_location("grader_3_3", Path(GRADER))
    grader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(grader)
    assert math.isclose(-np.log(p).mean(), grader.REAL, abs_tol=1e-9)
